# The control plane. `cargo xtask image picofaas` compiles it and builds this; by hand:
#
#   cargo build --profile dist --target x86_64-unknown-linux-musl --package picofaas
#   docker build --build-context binaries=target/x86_64-unknown-linux-musl/dist --tag picofaas.invalid/picofaas:0.1.0 .
#
# The program needs no library, so there is nothing else in the image. It writes nothing but the sockets of local
# instances, below /tmp: give it one (`--tmpfs /tmp`, an emptyDir).

FROM scratch
COPY --from=binaries picofaas /picofaas
USER 65532:65532
# Clients, operators and Prometheus, function pods.
EXPOSE 8080 8081 8082
ENTRYPOINT ["/picofaas"]
CMD ["serve", "--listen", "0.0.0.0:8080", "--management-listen", "0.0.0.0:8081", "--runtime-listen", "0.0.0.0:8082"]
