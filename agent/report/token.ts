/**
 * Which secret the agent shows. A credential of its own, given by the control plane and kept in the
 * state directory, comes first; then `--auth-token`, `--auth-token-file` or its variable,
 * `NAVARCH_AUTH_TOKEN`, and the file that bootstrap places. Files are read again when they change,
 * so that a rotation needs no restart. A secret is never logged; its source is.
 *
 * A control plane may get another name, or a certificate. What was kept under its old address is
 * shown after all others, and kept under the new one once it was accepted there. A credential that
 * replaces another one is only worth something once it was accepted: who stood in between for a
 * moment, or another control plane at the same address, may have given it. Until then the one
 * before it is kept, and shown next.
 *
 * Adapter: the file system.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../state-file.ts";

/** Placed by bootstrap, readable by root only. */
export const DEFAULT_TOKEN_FILE = "/etc/navarch-node/token";

/** What every credential of one node begins with. */
const NODE_PREFIX = "nvn.";

/**
 * What may stand in a header. A file of two lines, or one that a power cut left full of zeros,
 * holds no secret, and the next source gets its turn.
 */
const SENDABLE = /^[\x20-\x7e]+$/;

export type TokenOptions = {
  nodeId: string;
  /** Base URL: a credential of another address comes last. */
  server: string;
  /** File of the agent's own credential; `null` keeps it in memory. */
  directory: string | null;
  flag: string | undefined;
  /** From `--auth-token-file` or `NAVARCH_AUTH_TOKEN_FILE`. */
  file: string | undefined;
  environment: string | undefined;
  defaultFile?: string;
};

export type Token = { value: string; source: string };

export type TokenSource = {
  /** The secret to show now, or `null` if there is none. */
  current(): Token | null;
  /**
   * Said after a 401 or 403 to `value`: the next source in line is tried, and after the last the
   * first.
   */
  rejected(value: string): void;
  /** Said after a call that was accepted with `value`: the line begins with it from then on. */
  accepted(value: string | null): void;
  /**
   * Keeps a credential of the own (0600) and uses it; the error says why it is only in memory. One
   * that replaces another of the own and cannot be kept is not used at all: its use would end the
   * old one, and after a restart this node would have neither. `must` demands the same of a first.
   */
  adopt(credential: string, must?: boolean): string | null;
  /** True if the agent has its own credential. */
  hasOwn(): boolean;
};

type Stored = { node_id: string; server: string; credential: string; previous?: string };

export function openTokens(options: TokenOptions): TokenSource {
  const path = options.directory === null ? null : join(options.directory, "credential.json");
  const stored = path === null ? null : readStored(path, options.nodeId);
  const here = stored?.server === options.server;
  let own = here ? stored.credential : null;
  let moved = stored === null || here || bares(stored, options.server) ? null : stored.credential;
  let previous = here ? (stored.previous ?? null) : null;
  const given = options.file === undefined ? null : openFileToken(options.file);
  const fallback = openFileToken(options.defaultFile ?? DEFAULT_TOKEN_FILE);
  /** How many of the sources were refused since one was last accepted. */
  let passed = 0;
  const all = (): Token[] =>
    sendable([
      [own, "stored credential"],
      [previous, "stored credential before the last"],
      [options.flag, "--auth-token"],
      [given?.(), "token file"],
      [options.environment?.trim(), "NAVARCH_AUTH_TOKEN"],
      [fallback(), "default token file"],
      [moved, "stored credential of another address"],
    ]);
  const current = (): Token | null => {
    const tokens = all();
    return tokens[passed % Math.max(1, tokens.length)] ?? null;
  };
  const keep = (credential: string): string | null => {
    const { nodeId, server } = options;
    if (path === null) return "no state directory";
    const before = previous === null ? {} : { previous };
    return writeOwn(path, { node_id: nodeId, server, credential, ...before });
  };
  return {
    current,
    rejected: (value) => {
      if (current()?.value === value) passed++;
    },
    accepted: (value) => {
      const tokens = all();
      if (tokens.length > 0) passed %= tokens.length;
      if (value !== null && previous !== null && (value === own || value === previous)) {
        [own, previous] = [value, null];
        passed = 0;
        // What cannot be written is proven once more by the next life.
        keep(value);
      }
      // While it cannot be written it stays the last in line, and the next call tries that again.
      if (value === null || value !== moved || keep(value) !== null) return;
      own = value;
      moved = null;
      passed = 0;
    },
    hasOwn: () => own !== null,
    adopt: (credential, must = false) => {
      const before = previous;
      // Of several that nobody accepted yet, the one before them all is what is known to be good.
      if (own !== null && own !== credential) previous ??= own;
      const problem = keep(credential);
      const replaces = current()?.value.startsWith(NODE_PREFIX) === true;
      if (problem !== null && (must || replaces)) {
        previous = before;
        return problem;
      }
      own = credential;
      moved = null;
      passed = 0;
      return problem;
    },
  };
}

/** Each secret once, with the first of its sources. */
function sendable(candidates: readonly [string | null | undefined, string][]): Token[] {
  const found: Token[] = [];
  for (const [value, source] of candidates) {
    if (!value || !SENDABLE.test(value)) continue;
    if (!found.some((token) => token.value === value)) found.push({ value, source });
  }
  return found;
}

/** `null` = nothing, or nothing of this node. */
function readStored(path: string, nodeId: string): Stored | null {
  try {
    const stored = JSON.parse(fs.readFileSync(path, "utf8")) as Partial<Stored>;
    const { node_id, server, credential, previous } = stored;
    if (typeof server !== "string" || typeof credential !== "string") return null;
    const before = typeof previous === "string" ? { previous } : {};
    return node_id === nodeId ? { node_id, server, credential, ...before } : null;
  } catch {
    return null;
  }
}

/** Whether a credential received over TLS would be sent over unencrypted HTTP. */
function bares(stored: Stored, server: string): boolean {
  return stored.server.startsWith("https:") && !server.startsWith("https:");
}

function writeOwn(path: string, stored: Stored): string | null {
  try {
    replaceFile(path, `${JSON.stringify(stored)}\n`);
    return null;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}

/**
 * The trimmed content of a file, read again when its identity, size or time changed; `null` without
 * one.
 */
export function openFileToken(path: string): () => string | null {
  let seen = "";
  let value: string | null = null;
  return () => {
    try {
      const { ino, size, mtimeMs } = fs.statSync(path);
      const now = `${ino}/${size}/${mtimeMs}`;
      if (now !== seen) value = fs.readFileSync(path, "utf8").trim() || null;
      seen = now;
    } catch {
      seen = "";
      value = null;
    }
    return value;
  };
}

/**
 * Takes a file away, or its content where its folder may not be written. What is somebody else's to
 * keep, such as a mounted secret, stays as it is, and that is no error.
 */
export function dropFile(path: string): void {
  for (const drop of [fs.unlinkSync, fs.truncateSync]) {
    try {
      // A link leads to a secret's volume, or to a device.
      if (fs.lstatSync(path).isFile()) drop(path);
      return;
    } catch {
      // The other way, or none.
    }
  }
}
