// One request with a library of Rust: `client LIBRARY URL HEADERS`, the last as a JSON object.
use std::env::args;
use std::sync::Arc;

use rustls::client::{ServerCertVerified, ServerCertVerifier};

struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::Certificate,
        _: &[rustls::Certificate],
        _: &rustls::ServerName,
        _: &mut dyn Iterator<Item = &[u8]>,
        _: &[u8],
        _: std::time::SystemTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
}

fn main() {
    let given: Vec<String> = args().collect();
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&given[3]).unwrap();
    if given[1] == "ureq" {
        let config = rustls::ClientConfig::builder()
            .with_safe_defaults()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        let mut request = ureq::builder().tls_config(Arc::new(config)).build().get(&given[2]);
        for (name, value) in &fields {
            request = request.set(name, value.as_str().unwrap());
        }
        request.call().unwrap().into_string().unwrap();
    } else {
        let client = reqwest::blocking::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
        let mut request = client.get(&given[2]);
        for (name, value) in &fields {
            request = request.header(name, value.as_str().unwrap());
        }
        request.send().unwrap().text().unwrap();
    }
}
