// Asks for a URL with a library of .NET: LIBRARY URL JSON, the fields as an object of strings.
using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Http;
using System.Text.RegularExpressions;

public static class Client
{
    static readonly Regex Pair = new Regex("\"((?:[^\"\\\\]|\\\\.)*)\": \"((?:[^\"\\\\]|\\\\.)*)\"");

    public static void Main(string[] arguments)
    {
        ServicePointManager.ServerCertificateValidationCallback = delegate { return true; };
        ServicePointManager.SecurityProtocol = SecurityProtocolType.Tls12;
        var fields = new List<KeyValuePair<string, string>>();
        foreach (Match each in Pair.Matches(arguments[2]))
            fields.Add(new KeyValuePair<string, string>(Plain(each.Groups[1].Value), Plain(each.Groups[2].Value)));
        if (arguments[0] == "http-client") ByHttpClient(arguments[1], fields, new Version(1, 1));
        else if (arguments[0] == "http-client-h2") ByHttpClient(arguments[1], fields, new Version(2, 0));
        else ByWebRequest(arguments[1], fields);
    }

    static string Plain(string text) { return text.Replace("\\\"", "\"").Replace("\\\\", "\\"); }

    static void ByHttpClient(string url, List<KeyValuePair<string, string>> fields, Version version)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, url) { Version = version };
        foreach (var field in fields) request.Headers.TryAddWithoutValidation(field.Key, field.Value);
        var handler = new HttpClientHandler { ServerCertificateCustomValidationCallback = delegate { return true; } };
        using (var client = new HttpClient(handler))
            Console.WriteLine((int)client.SendAsync(request).Result.StatusCode);
    }

    static void ByWebRequest(string url, List<KeyValuePair<string, string>> fields)
    {
        var request = (HttpWebRequest)WebRequest.Create(url);
        foreach (var field in fields)
        {
            if (field.Key == "User-Agent") request.UserAgent = field.Value;
            else if (field.Key == "Accept") request.Accept = field.Value;
            else request.Headers.Add(field.Key, field.Value);
        }
        using (var response = (HttpWebResponse)request.GetResponse())
            Console.WriteLine((int)response.StatusCode);
    }
}
