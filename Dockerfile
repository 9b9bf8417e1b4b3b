# The image that an Airbyte platform runs: the static binary, a shell for the platform's launch script, and
# certificates. Build it where it is to run, amd64 or arm64: the target is the builder's own.
#
#   docker build --tag source-cart .
#   docker build --tag source-cs-cart --build-arg SOURCE=source-cs-cart .

# The connector of the image: the name of its executable.
ARG SOURCE=source-cart

FROM docker.io/library/rust:1.95-slim-bookworm AS build

# busybox-static is the shell of the final image; it links nothing, like the binary.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends busybox-static ca-certificates

# The root file system of the final image. The platform's script needs sh, mv, sleep, echo and kill (the last two are
# built into sh); the rest is for the person who looks into a container. Absolute links, so that they hold there.
RUN mkdir -p /image/bin /image/etc/ssl/certs /image/usr/local/bin /image/tmp \
    && cp "$(command -v busybox)" /image/bin/busybox \
    && for tool in sh mv sleep echo kill cat cp rm ls mkdir mkfifo touch env id ps test true false; do \
        ln -s /bin/busybox "/image/bin/$tool"; \
    done \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'airbyte:x:1000:1000:airbyte:/airbyte:/bin/sh' > /image/etc/passwd \
    && echo 'airbyte:x:1000:' > /image/etc/group \
    && chmod 1777 /image/tmp \
    && mkdir /airbyte

WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# Cargo looks at every package of the workspace; only the connector is built.
COPY demo demo
COPY integration_tests integration_tests
COPY release release
COPY schemas schemas
COPY src src

# Static, with glibc's resolver inside. A target of its own keeps the flag away from build scripts.
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS='-C target-feature=+crt-static' \
        cargo build --locked --release -p source-cart --target "$host" \
    && mv "target/$host/release" /built

# An entrypoint cannot contain the argument, so a link under one name leads to the executable.
ARG SOURCE
RUN cp "/built/$SOURCE" "/image/usr/local/bin/$SOURCE" && ln -s "$SOURCE" /image/usr/local/bin/connector

FROM scratch
ARG SOURCE

COPY --from=build /image /
# The platform's script writes its files into the working directory, as uid 1000.
COPY --from=build --chown=1000:1000 /airbyte /airbyte

# The binary trusts the roots compiled into it and those of this file. A company's own authority goes into a file
# that is mounted here, or that SSL_CERT_FILE names.
ENV PATH=/usr/local/bin:/bin \
    HOME=/airbyte \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    AIRBYTE_ENTRYPOINT=/usr/local/bin/connector

# integration_tests/cases/metadata.rs compares the version with metadata.yaml.
LABEL io.airbyte.name=$SOURCE \
    io.airbyte.version=0.1.0

USER 1000:1000
WORKDIR /airbyte
ENTRYPOINT ["/usr/local/bin/connector"]
