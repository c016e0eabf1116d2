// One request with Go's net/http: `client URL HEADERS`, the last as a JSON object.
package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
)

func main() {
	headers := map[string]string{}
	if err := json.Unmarshal([]byte(os.Args[2]), &headers); err != nil {
		panic(err)
	}
	request, err := http.NewRequest("GET", os.Args[1], nil)
	if err != nil {
		panic(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: os.Getenv("HTTP2") != ""}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		panic(err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		panic(err)
	}
}
