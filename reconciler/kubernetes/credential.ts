/**
 * Renews the credentials for an API server. `@kubernetes/client-node` reads and applies the files;
 * this decides when. Version 1.4.0 reads all files at each call, but caches a token for a minute,
 * even a refused one, and treats an empty one as absent.
 *
 * Adapter: reads token and certificate files.
 */
import { readFile } from "node:fs/promises";
import type { RequestOptions } from "node:https";
import type { Cluster, User } from "@kubernetes/client-node";
import type { Clock } from "../core/clock.ts";

/** As `fetch` takes it; PEM text. */
export type TransportTls = {
  ca?: string;
  cert?: string;
  key?: string;
  serverName?: string;
  rejectUnauthorized?: boolean;
};

export type Credential = { headers: Record<string, string>; tls: TransportTls };
/** `endsAt`: wall milliseconds; `null`: unknown. */
export type Held = { credential: Credential; endsAt: number | null };

/** `everyMs`: renewal period. `pauseMs`: least time between two attempts. */
export type Pace = { everyMs: number; pauseMs: number };

/** Renewal before the end, so that no credential expires in flight. */
const EARLY_MS = 10_000;

/**
 * Caches a credential and renews it when it is old, about to expire or refused. A credential that
 * has not expired stays in use while renewal fails.
 */
export class Renewed {
  readonly #ask: () => Promise<Held>;
  readonly #clock: Clock;
  readonly #pace: Pace;
  #held: Held | null = null;
  #failure: unknown = null;
  #askedMs = Number.NEGATIVE_INFINITY;
  #isRefused = false;
  #asking: Promise<void> | null = null;

  /** `ask` rejects with an error that names the problem without secrets. */
  constructor(ask: () => Promise<Held>, clock: Clock, pace: Pace) {
    this.#ask = ask;
    this.#clock = clock;
    this.#pace = pace;
  }

  /** Rejects as `ask` does. Concurrent callers share one attempt. */
  async current(): Promise<Credential> {
    if (this.#asking === null && this.#isDue()) {
      this.#asking = this.#renew().finally(() => {
        this.#asking = null;
      });
    }
    await this.#asking;
    if (this.#held === null) throw this.#failure;
    return this.#held.credential;
  }

  /** The server refused what `current()` gave. */
  refresh(): void {
    this.#isRefused = true;
  }

  #isDue(): boolean {
    const restedMs = this.#clock.monoMs() - this.#askedMs;
    if (restedMs < this.#pace.pauseMs) return false;
    if (this.#held === null || this.#isRefused || restedMs >= this.#pace.everyMs) return true;
    const { endsAt } = this.#held;
    return endsAt !== null && endsAt <= this.#clock.wallMs() + EARLY_MS;
  }

  async #renew(): Promise<void> {
    this.#isRefused = false;
    try {
      this.#held = await this.#ask();
    } catch (cause) {
      this.#failure = cause;
      const endsAt = this.#held?.endsAt ?? Number.NEGATIVE_INFINITY;
      if (endsAt <= this.#clock.wallMs()) this.#held = null;
    }
    this.#askedMs = this.#clock.monoMs();
  }
}

/** Projected tokens and certificates rotate in place; client-go reads them each minute. */
const FILES: Pace = { everyMs: 60_000, pauseMs: 0 };
/** A certificate chain is a few KiB. */
const FILE_BYTES_MAX = 1024 * 1024;

/** Static credentials: certificates, token, token file, password. */
export function openFiles(cluster: Cluster, user: User, clock: Clock): Renewed {
  return new Renewed(() => readFiles(cluster, user), clock, FILES);
}

async function readFiles(cluster: Cluster, user: User): Promise<Held> {
  const tokenFile: unknown = user.authProvider?.config?.tokenFile;
  await checkFile(cluster.caFile, "certificates in PEM");
  await checkFile(tokenFile, "a token");
  await checkFile(user.certFile, "a client certificate in PEM");
  await checkFile(user.keyFile, "a client key in PEM");
  const { KubeConfig } = await import("@kubernetes/client-node/dist/config.js");
  // A new instance each time: an old one would return the refused token.
  const config = new KubeConfig();
  // The library treats plain http as an unverified server; a warning at start reports it.
  const skipTLSVerify = cluster.skipTLSVerify || cluster.server.startsWith("http:");
  config.loadFromClusterAndUser({ ...cluster, skipTLSVerify }, user);
  const options: RequestOptions = { headers: {} };
  await config.applyToHTTPSOptions(options);
  // The last content stays in use while a file is being replaced.
  return { credential: credentialOf(options), endsAt: Number.POSITIVE_INFINITY };
}

async function checkFile(path: unknown, what: string): Promise<void> {
  if (typeof path !== "string" || path === "") return;
  const found = await readFile(path).then(
    (bytes) => {
      if (bytes.byteLength > FILE_BYTES_MAX) return "found it larger than 1 MiB";
      return bytes.toString("utf8").trim() === "" ? "found it empty" : null;
    },
    (cause: unknown) => {
      const code = cause instanceof Error && "code" in cause ? cause.code : "unknown";
      return code === "ENOENT" ? "found no such file" : `not readable: ${code}`;
    },
  );
  if (found !== null) throw new Error(`${path}: expected ${what}, ${found}`);
}

/** The library's options in the form of `fetch`. */
export function credentialOf(options: RequestOptions): Credential {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    headers[name.toLowerCase()] = String(value).trim();
  }
  if (options.auth && headers["authorization"] === undefined) {
    headers["authorization"] = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  }
  const { ca, cert, key, servername, rejectUnauthorized } = options;
  const tls: TransportTls = {
    ...(ca ? { ca: String(ca) } : {}),
    ...(cert && key ? { cert: String(cert), key: String(key) } : {}),
    ...(servername ? { serverName: servername } : {}),
    ...(rejectUnauthorized === false ? { rejectUnauthorized } : {}),
  };
  return { headers, tls };
}
