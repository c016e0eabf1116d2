<?php
// One request with a library of PHP: `php client.php LIBRARY URL HEADERS`, the last as a JSON object.
[, $library, $url, $text] = $argv;
$headers = json_decode($text, true);
$lines = array_map(fn ($name, $value) => "$name: $value", array_keys($headers), $headers);

switch ($library) {
    case 'stream':
        file_get_contents($url, false, stream_context_create([
            'http' => ['header' => $lines],
            'ssl' => ['verify_peer' => false, 'verify_peer_name' => false],
        ]));
        break;
    case 'curl':
        $curl = curl_init($url);
        curl_setopt_array($curl, [
            CURLOPT_HTTPHEADER => $lines, CURLOPT_RETURNTRANSFER => true,
            CURLOPT_SSL_VERIFYPEER => false, CURLOPT_SSL_VERIFYHOST => 0,
        ]);
        curl_exec($curl);
        break;
    case 'guzzle':
        require '/usr/share/php/GuzzleHttp/autoload.php';
        (new GuzzleHttp\Client(['verify' => false]))->get($url, ['headers' => $headers]);
        break;
    default:
        exit(1);
}
