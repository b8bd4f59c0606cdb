/**
 * Keeps host keys in a known_hosts file that ssh can read. A new key is stored before anything is
 * sent to the machine; a later connection must show that key. A revoked key is never accepted.
 *
 * Adapter: reads and appends to one file.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { HostKeyCheck } from "../bootstrap/shell.ts";
import { keyType, formatKey } from "../bootstrap/ssh/host-key.ts";
import { knownKeys } from "../bootstrap/ssh/known-hosts.ts";
import { EXIT, failure, usage } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { explainPath } from "./path.ts";

/** The host key cannot be stored, so nothing may be sent to the machine. */
export class HostKeyFault extends Error {}

export class HostKeyFile {
  readonly path: string;
  readonly #tell: (line: string) => void;

  /** `tell` prints which key was shown. */
  constructor(given: string | null, home: string, tell: (line: string) => void) {
    this.path = given ?? join(home, ".local", "state", "navarch", "known_hosts");
    this.#tell = tell;
  }

  /** The key that the machine must show. */
  check(host: string, port: number): Read<HostKeyCheck> {
    let text = "";
    try {
      if (existsSync(this.path)) text = readFileSync(this.path, "utf8");
    } catch (error) {
      return usage(`--known-hosts ${this.path}: ${explainPath(this.path, error)}`);
    }
    const keys = knownKeys(text, host, port);
    if (keys.length > 0) return { ok: true, value: { kind: "pinned", keys } };
    if (knownKeys(revokedIn(text), host, port).length > 0) {
      const name = formatName(host, port);
      const message = `${this.path} revokes the key of ${name} and has no other`;
      return failure(EXIT.refused, "precondition_failed", message);
    }
    return { ok: true, value: { kind: "first-use" } };
  }

  /** Prints the key, and stores a new one; throws a `HostKeyFault` if it cannot be stored. */
  accept(host: string, port: number, check: HostKeyCheck, hostKey: string): void {
    const key = Buffer.from(hostKey, "base64");
    const name = formatName(host, port);
    if (check.kind === "pinned") {
      this.#tell(`host key of ${name}: ${formatKey(key)}, as in ${this.path}\n`);
      return;
    }
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      // The last line may lack its line break.
      const whole = !existsSync(this.path) || /(^|\n)$/.test(readFileSync(this.path, "utf8"));
      const line = `${whole ? "" : "\n"}${name} ${keyType(key) ?? ""} ${hostKey}\n`;
      appendFileSync(this.path, line, { mode: 0o600 });
    } catch (error) {
      throw new HostKeyFault(`cannot store the host key: ${this.path}: ${messageOf(error)}`, {
        cause: error,
      });
    }
    this.#tell(`host key of ${name}: ${formatKey(key)}, first use, stored in ${this.path}\n`);
  }

  /** How to accept another key. */
  hint(host: string, port: number): string {
    return `if it was recreated: ssh-keygen -R '${formatName(host, port)}' -f ${this.path}`;
  }
}

/** The `@revoked` lines without the marker (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). */
function revokedIn(text: string): string {
  const lines = text.split(/\r?\n/).filter((line) => /^\s*@revoked\s/.test(line));
  return lines.map((line) => line.replace(/^\s*@revoked\s+/, "")).join("\n");
}

function formatName(host: string, port: number): string {
  const lower = host.toLowerCase();
  return port === 22 ? lower : `[${lower}]:${port}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
