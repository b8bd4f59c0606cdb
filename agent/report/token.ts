/**
 * Chooses the secret that the agent presents. Its own credential, given by the control plane and
 * kept in the state directory, comes first; then `--auth-token`, `--auth-token-file`,
 * `NAVARCH_AUTH_TOKEN`, and the file that bootstrap places. Files are read again when they change.
 *
 * A credential stored for another address of the control plane comes last and is stored for the new
 * address once accepted there. A replaced credential is kept and tried next until the new one was
 * accepted: an impostor may have given the new one. Logs name the source, never the secret.
 *
 * Adapter: the file system.
 */
import * as fs from "node:fs";
import * as v from "valibot";
import { openStateFiles, parseNote } from "../spool/state-file.ts";

/** Placed by bootstrap, readable by root only. */
export const DEFAULT_TOKEN_FILE = "/etc/navarch-node/token";

/** The prefix of every node credential. */
const NODE_PREFIX = "nvn.";

/** A valid header value; a file of two lines, or of zeros after a power cut, is passed over. */
const SENDABLE = /^[\x20-\x7e]+$/;

export type TokenOptions = {
  nodeId: string;
  /** Base URL of the control plane. */
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
  /** The secret to present now, or `null`. */
  current(): Token | null;
  /** After a 401 or 403 to `value`: the next source is tried, after the last the first. */
  rejected(value: string): void;
  /** After a call was accepted with `value`. */
  accepted(value: string | null): void;
  /**
   * Stores the agent's own credential (0600) and uses it; the answer says why it is only in memory.
   * A replacement that cannot be stored is not used: its use would revoke the old one, and after a
   * restart the node would have neither. `must` demands the same of a first credential.
   */
  adopt(credential: string, must?: boolean): string | null;
  /** True if the agent has its own credential. */
  hasOwn(): boolean;
};

const FILE = "credential.json";
const Stored = v.object({
  node_id: v.string(),
  server: v.string(),
  credential: v.string(),
  previous: v.optional(v.string()),
});
type Stored = v.InferOutput<typeof Stored>;

export function openTokens(options: TokenOptions): TokenSource {
  const { nodeId, server } = options;
  const files = openStateFiles(options.directory);
  const note = parseNote(Stored, files.load(FILE));
  const stored = note?.node_id === nodeId ? note : null;
  const here = stored?.server === server;
  let own = here ? stored.credential : null;
  let moved = stored === null || here || isExposed(stored, server) ? null : stored.credential;
  let previous = here ? (stored.previous ?? null) : null;
  const given = options.file === undefined ? null : openFileToken(options.file);
  const fallback = openFileToken(options.defaultFile ?? DEFAULT_TOKEN_FILE);
  /** Sources refused since the last acceptance. */
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
    const before = previous === null ? {} : { previous };
    const next: Stored = { node_id: nodeId, server, credential, ...before };
    return files.save(FILE, `${JSON.stringify(next)}\n`);
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
        // If this fails, the next process proves the credential again.
        keep(value);
      }
      // Until it can be written it stays last, and the next call tries again.
      if (value === null || value !== moved || keep(value) !== null) return;
      own = value;
      moved = null;
      passed = 0;
    },
    hasOwn: () => own !== null,
    adopt: (credential, must = false) => {
      const before = previous;
      // Of several unaccepted credentials, the one before all of them is known to be good.
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

/** Whether a credential received over TLS would be sent over unencrypted HTTP. */
function isExposed(stored: Stored, server: string): boolean {
  return stored.server.startsWith("https:") && !server.startsWith("https:");
}

/** The trimmed content of a file, read again when it changed; `null` without one. */
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
 * Deletes a file, or empties it where its folder is not writable. A mounted secret stays as it is,
 * which is no error.
 */
export function dropFile(path: string): void {
  for (const drop of [fs.unlinkSync, fs.truncateSync]) {
    try {
      // A link leads to a secret's volume, or to a device.
      if (fs.lstatSync(path).isFile()) drop(path);
      return;
    } catch {
      // Try the next way.
    }
  }
}
