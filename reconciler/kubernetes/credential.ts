/**
 * What proves who we are to an API server, renewed while it is used: files are read again every
 * minute and after a refusal, because projected tokens and certificates rotate in place.
 *
 * Adapter: reads token and certificate files.
 */
import { readFile } from "node:fs/promises";
import type { Clock } from "../core/clock.ts";
import type { Material, UserEntry } from "./kubeconfig.ts";

/** `cert` and `key` are PEM and come together. */
export type Credential = {
  headers: Record<string, string>;
  cert: string | null;
  key: string | null;
};

export type CredentialSource = {
  /** Rejects with an error that names what is wrong and holds no secret. */
  current(): Promise<Credential>;
  /** The server refused what `current()` gave: the next call reads anew. */
  refresh(): void;
};

/** The kubelet renews a projected token well before it ends; a minute is what client-go takes. */
const REREAD_MS = 60_000;
/** A certificate chain is a few KiB; anything of this size was named by mistake. */
const FILE_BYTES_MAX = 1024 * 1024;

/**
 * A small file, kept. Once it was read, a failing read (it is just being replaced) leaves the old
 * content in place.
 */
export class KeptFile {
  readonly #path: string;
  readonly #what: string;
  readonly #clock: Clock;
  #content: string | null = null;
  #readMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<string> | null = null;

  /** `what` names the content in errors. */
  constructor(path: string, what: string, clock: Clock) {
    this.#path = path;
    this.#what = what;
    this.#clock = clock;
  }

  /** Everybody who asks during a read gets its result: a certificate and its key stay a pair. */
  async read(): Promise<string> {
    const isFresh = this.#clock.monoMs() - this.#readMs < REREAD_MS;
    if (this.#reading === null && isFresh && this.#content !== null) return this.#content;
    this.#reading ??= this.#open().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #open(): Promise<string> {
    this.#readMs = this.#clock.monoMs();
    try {
      const bytes = await readFile(this.#path);
      if (bytes.byteLength > FILE_BYTES_MAX) throw new Error("larger than 1 MiB");
      const content = bytes.toString("utf8").trim();
      if (content === "") throw new Error("empty");
      this.#content = content;
      return content;
    } catch (cause) {
      if (this.#content !== null) return this.#content;
      throw new Error(`${this.#path}: expected ${this.#what}, ${reasonOf(cause)}`);
    }
  }

  forget(): void {
    this.#readMs = Number.NEGATIVE_INFINITY;
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return "not readable";
  if ("code" in cause && cause.code === "ENOENT") return "found no such file";
  if ("code" in cause && typeof cause.code === "string") return `not readable: ${cause.code}`;
  return `found it ${cause.message}`;
}

type Source = () => Promise<string>;

/** Inline PEM or a kept file. */
export function openMaterial(material: Material, what: string, clock: Clock): Source {
  if ("pem" in material) return async () => material.pem;
  const file = new KeptFile(material.path, what, clock);
  return () => file.read();
}

/** Everything but a plugin: certificate and key, token, token file, password. */
export function openCredential(user: UserEntry, clock: Clock): CredentialSource {
  const cert = user.cert && openMaterial(user.cert, "a client certificate in PEM", clock);
  const key = user.key && openMaterial(user.key, "a client key in PEM", clock);
  const file = user.tokenFile === null ? null : new KeptFile(user.tokenFile, "a token", clock);
  return {
    async current() {
      const headers: Record<string, string> = {};
      // The file outranks the token written beside it, as in client-go: only the file rotates.
      const token = file === null ? user.token : await file.read();
      if (token !== null) headers["authorization"] = `Bearer ${token}`;
      else if (user.basic !== null) {
        const pair = Buffer.from(`${user.basic.username}:${user.basic.password}`);
        headers["authorization"] = `Basic ${pair.toString("base64")}`;
      }
      // One after the other: of two that are wrong the same one is told each time.
      const pair = cert === null || key === null ? null : ([await cert(), await key()] as const);
      return { headers, cert: pair?.[0] ?? null, key: pair?.[1] ?? null };
    },
    refresh: () => file?.forget(),
  };
}
