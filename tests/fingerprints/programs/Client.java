// One request with a library of Java: `java Client.java LIBRARY URL HEADERS`, the last as `Name: value` lines.
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;
import javax.net.ssl.X509TrustManager;

class Client {
    static class Trusting extends X509ExtendedTrustManager {
        public void checkClientTrusted(X509Certificate[] chain, String type) {}
        public void checkServerTrusted(X509Certificate[] chain, String type) {}
        public void checkClientTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}
        public void checkServerTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}
        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
    }

    public static void main(String[] arguments) throws Exception {
        String url = arguments[1];
        Map<String, String> headers = new LinkedHashMap<>();
        for (String line : arguments[2].split("\n")) {
            int colon = line.indexOf(": ");
            if (colon > 0) headers.put(line.substring(0, colon), line.substring(colon + 2));
        }
        Trusting trusting = new Trusting();
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, new TrustManager[] {trusting}, new SecureRandom());
        switch (arguments[0]) {
            case "http" -> {
                HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url));
                headers.forEach(request::header);
                HttpClient.newBuilder().sslContext(tls).build().send(request.build(), HttpResponse.BodyHandlers.ofString());
            }
            case "url" -> {
                HttpsURLConnection connection = (HttpsURLConnection) new URL(url).openConnection();
                connection.setSSLSocketFactory(tls.getSocketFactory());
                connection.setHostnameVerifier((host, session) -> true);
                headers.forEach(connection::setRequestProperty);
                connection.getInputStream().readAllBytes();
            }
            case "okhttp" -> Okhttp.get(url, headers, tls, trusting);
            case "apache4" -> Apache4.get(url, headers, tls);
            case "apache5" -> Apache5.get(url, headers, tls);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        System.exit(0);
    }

    static class Okhttp {
        static void get(String url, Map<String, String> headers, SSLContext tls, X509TrustManager trusting) throws Exception {
            okhttp3.Request.Builder request = new okhttp3.Request.Builder().url(url);
            headers.forEach(request::header);
            new okhttp3.OkHttpClient.Builder().sslSocketFactory(tls.getSocketFactory(), trusting)
                .hostnameVerifier((host, session) -> true).build().newCall(request.build()).execute().body().string();
        }
    }

    static class Apache4 {
        static void get(String url, Map<String, String> headers, SSLContext tls) throws Exception {
            org.apache.http.client.methods.HttpGet request = new org.apache.http.client.methods.HttpGet(url);
            headers.forEach(request::setHeader);
            org.apache.http.impl.client.HttpClients.custom().setSSLContext(tls)
                .setSSLHostnameVerifier((host, session) -> true).build().execute(request).close();
        }
    }

    static class Apache5 {
        static void get(String url, Map<String, String> headers, SSLContext tls) throws Exception {
            org.apache.hc.client5.http.classic.methods.HttpGet request = new org.apache.hc.client5.http.classic.methods.HttpGet(url);
            headers.forEach(request::setHeader);
            var sockets = new org.apache.hc.client5.http.ssl.SSLConnectionSocketFactory(tls, (host, session) -> true);
            var pool = org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder.create()
                .setSSLSocketFactory(sockets).build();
            org.apache.hc.client5.http.impl.classic.HttpClients.custom().setConnectionManager(pool).build()
                .execute(request, answer -> null);
        }
    }
}
