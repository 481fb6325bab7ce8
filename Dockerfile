# Kohort for production: the service alone. PostgreSQL is somewhere else and named by DATABASE_URL; the packages `node` and
# `embedded-postgres` are development dependencies and stay out. Needs no BuildKit.

# Debian and not Alpine: node's builds for musl are experimental upstream, and everything here is tested on glibc.
# The tag is for readers, the digest is what is pulled (SECURITY.md says how to renew it). Another one: --build-arg NODE=...
ARG NODE=docker.io/library/node:26.10.0-slim@sha256:ec7758ee051e457b468b32bde57b0879010b325bb9862718e9615225ce4aaae1
FROM ${NODE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
COPY contract/package.json contract/
COPY embedded/package.json embedded/
COPY server/package.json server/
# No script of a package runs: the one native addon, argon2, comes prebuilt.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

# The console. Its packages are all development dependencies: only what is built of them goes into the image.
FROM ${NODE} AS console
WORKDIR /app
COPY package.json package-lock.json ./
COPY contract/package.json contract/
COPY web/package.json web/
RUN npm ci --workspace web --include-workspace-root=false --ignore-scripts --no-audit --no-fund
COPY contract contract
COPY web web
COPY tsconfig.json ./
RUN npm run build --workspace web

FROM ${NODE}
LABEL org.opencontainers.image.title="Kohort" \
      org.opencontainers.image.description="Dynamic user segmentation on PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0"

# Evaluation mode keeps the secret it draws in /data; a volume mounted there takes over this owner. Production writes nothing.
RUN mkdir /data && chown 10001:10001 /data
# HOME, because a library asks for it as it loads and this user has no entry in /etc/passwd.
ENV NODE_ENV=production \
    HOME=/app \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data
WORKDIR /app

# Everything belongs to root, and the service runs as nobody in particular: it cannot change its own code.
COPY --from=dependencies /app ./
COPY LICENSE ./
COPY schema schema
COPY docs docs
COPY contract contract
COPY embedded embedded
COPY server server
COPY --from=console /app/web/dist web/dist
COPY container container
USER 10001:10001

EXPOSE 8000
STOPSIGNAL SIGTERM
# The OCI format of images has no health check: buildah and Podman keep it with --format docker.
# Whether the process lives, not whether the database does: a supervisor must not restart the service for the latter.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/app/container/alive.mjs"]
CMD ["node", "server/src/main.ts"]
