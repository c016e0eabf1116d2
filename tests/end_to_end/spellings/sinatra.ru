# A Sinatra site that says which handler was reached and what it read.
require 'sinatra/base'

class Site < Sinatra::Base
  set :environment, :production

  %i[get post].each do |method|
    send(method, '/signup') { "SIGNUP #{request.request_method}" }
    send(method, '/admin') { 'ADMIN' }
  end

  get '/search' do
    page = params['page']
    page = page.is_a?(Array) ? page.last : page.respond_to?(:values) ? page.values.first : page
    "SEARCH #{page.to_s.to_i} #{page.to_s.to_f}"
  end
end

run Site
