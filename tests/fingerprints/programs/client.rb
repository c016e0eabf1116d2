# One request with a library of Ruby: `ruby client.rb LIBRARY URL HEADERS`, the last as a JSON object.
require "json"

library, url, text = ARGV
headers = JSON.parse(text)

case library
when "net-http"
  require "net/http"
  require "openssl"
  uri = URI(url)
  request = Net::HTTP::Get.new(uri)
  headers.each { |name, value| request[name] = value }
  Net::HTTP.start(uri.host, uri.port, use_ssl: true, verify_mode: OpenSSL::SSL::VERIFY_NONE) { |http| http.request(request) }
when "faraday"
  require "faraday"
  Faraday.new(url: url, ssl: {verify: false}).get(url, nil, headers)
when "httparty"
  require "httparty"
  HTTParty.get(url, headers: headers, verify: false)
when "excon"
  require "excon"
  Excon.get(url, headers: headers, ssl_verify_peer: false)
when "httpclient"
  require "httpclient"
  client = HTTPClient.new
  client.ssl_config.verify_mode = OpenSSL::SSL::VERIFY_NONE
  client.get(url, header: headers)
when "rest-client"
  require "rest-client"
  RestClient::Request.execute(method: :get, url: url, headers: headers, verify_ssl: false)
when "typhoeus"
  require "typhoeus"
  Typhoeus.get(url, headers: headers, ssl_verifypeer: false, ssl_verifyhost: 0)
when "mechanize"
  require "mechanize"
  agent = Mechanize.new
  agent.verify_mode = OpenSSL::SSL::VERIFY_NONE
  agent.user_agent = headers["User-Agent"] if headers["User-Agent"]
  agent.get(url, [], nil, headers)
else
  abort library
end
