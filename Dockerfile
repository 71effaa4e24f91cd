# nginx with the comms module, as a user that is not root.
#
#   docker build -t comms .
#   docker run -d --name comms --stop-timeout 60 -p 8080:8080 \
#       -v /srv/comms/etc:/etc/comms:ro -v comms-store:/var/lib/comms comms
#
# /etc/comms holds
#   projects/*.json  one file for each project
#   secrets.json     mode 0600, owned by the user 33 (www-data)
#   *.conf           directives for the http level, at least
#                        comms_public_base_url https://comms.example.org;
#
# TLS ends in front of port 8080.  Port 8081 has /comms/status and /metrics:
# do not publish it to the world.  The store is in the volume /var/lib/comms.

FROM debian:bookworm-slim AS build

WORKDIR /build

# apart from the sources, so that a change in those installs nothing again
COPY util/deps util/
RUN util/deps build

COPY Makefile config ./
COPY src src/
RUN make module


FROM debian:bookworm-slim

RUN apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends nginx libjansson4 libsqlite3-0 libssl3 \
        libgmime-3.0-0 ca-certificates curl sqlite3 tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && ln -sf /dev/stdout /var/log/nginx/access.log \
    && ln -sf /dev/stderr /var/log/nginx/error.log \
    && install -d -o www-data -g www-data -m 700 /var/lib/comms \
        /var/lib/nginx \
    && install -d -m 755 /etc/comms/projects

COPY --from=build /build/build/module/ngx_http_comms_module.so \
    /usr/lib/nginx/modules/
COPY conf/container.conf /etc/nginx/nginx.conf
COPY conf/comms /etc/nginx/comms/

USER www-data
VOLUME /var/lib/comms
EXPOSE 8080 8081

# running jobs end, the rest goes back to the queues
STOPSIGNAL SIGQUIT

# the page is there without the store, too, and says so
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD curl -fsS http://127.0.0.1:8081/comms/status \
        | grep -q '"store":"sqlite"' || exit 1

CMD ["nginx", "-g", "daemon off;"]
