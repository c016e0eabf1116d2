# A Rails site that says which handler was reached and what it read.
require 'action_controller/railtie'

class Site < Rails::Application
  config.eager_load = false
  config.consider_all_requests_local = false
  config.secret_key_base = 'of a test'
  config.logger = Logger.new($stderr)
  config.hosts.clear
  config.action_controller.default_protect_from_forgery = false
  routes.append do
    match '/signup', to: 'site#sign_up', via: :all
    match '/admin', to: 'site#admin', via: :all
    get '/search', to: 'site#search'
  end
end

class SiteController < ActionController::Base
  def sign_up
    render plain: "SIGNUP #{request.method}"
  end

  def admin
    render plain: 'ADMIN'
  end

  def search
    page = params[:page]
    page = page.is_a?(Array) ? page.last : page.respond_to?(:values) ? page.values.first : page
    render plain: "SEARCH #{page.to_s.to_i} #{page.to_s.to_f}"
  end
end

Site.initialize!
run Site
