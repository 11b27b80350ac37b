# Varnish with malloc storage. @WORDS@ are filled in by bench/peers.py, which also gives the
# parameters: one thread pool with threads enough for all connections, no log records.
vcl 4.1;

backend origin {
    .host = "127.0.0.1";
    .port = "@ORIGIN_PORT@";
}

sub vcl_recv {
    # The objects are public; left alone, Varnish passes every request with a cookie.
    unset req.http.Cookie;
}
