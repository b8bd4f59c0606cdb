/**
 * Authenticates orders. The control plane signs orders and releases with one key, whose fingerprint
 * the agent learns from a flag, the key file of the set-up, the join token, an authenticated TLS
 * connection, or, over plain http, the first reply (reported as trust on first use).
 *
 * A stronger source replaces a weaker one. A key of equal strength replaces the known one only if
 * the known key vouches for it or TLS authenticated the control plane.
 */
import { createHash, createPublicKey, verify } from "node:crypto";
import * as v from "valibot";
import { count } from "../../schema/number.ts";
import { type AgentTrust, KEY_SOURCES, type KeySource } from "../../schema/order.ts";
import { ORDER_LIFE_MAX_MS, orderText, type ShownKey, vouchText } from "../../schema/order.ts";
import type { AgentCommand } from "../../schema/report.ts";
import type { Log } from "./part.ts";
import { parseNote, type StateFiles } from "../spool/state-file.ts";
import { isLoopback } from "../../schema/loopback.ts";

const FILE = "control-key.json";

const Known = v.object({
  fingerprint: v.string(),
  source: v.picklist(KEY_SOURCES),
  /** The enrolled fingerprint from which rotations led here; `null` = none. */
  root: v.nullable(v.string()),
  /** The key itself, once the control plane presented it. */
  key: v.nullable(v.string()),
});
type Known = v.InferOutput<typeof Known>;
const Refused = v.object({ count, last: v.nullable(v.string()) });
const Stored = v.object({ known: v.nullable(Known), refused: Refused });

/** A repeated forged order is counted and answered again after this. */
const AGAIN_MS = 60_000;
/** Forged orders a minute that are counted, logged and answered. */
const REFUSALS_PER_MINUTE = 10;

export type KeyTrustFrom = {
  /** The name under which this agent reports. */
  nodeId: string;
  /** Base URL of the control plane. */
  base: string;
  /** Fingerprints that a person provided, strongest first. */
  enrolled: readonly { fingerprint: string; source: "enrolment" | "join token" }[];
  files: StateFiles;
  /** Wall milliseconds. */
  now: () => number;
  log: Log;
};

export class KeyTrust {
  readonly #from: KeyTrustFrom;
  #known: Known | null;
  #refused: v.InferOutput<typeof Refused>;
  #recent: { id: string; at: number }[] = [];
  /** The foreign key of the last warning. */
  #warned = "";

  constructor(from: KeyTrustFrom) {
    this.#from = from;
    // Without a readable file the key is learned or enrolled again.
    const stored = parseNote(Stored, from.files.load(FILE));
    this.#known = stored?.known ?? null;
    this.#refused = stored?.refused ?? { count: 0, last: null };
    const [strongest] = from.enrolled;
    if (strongest !== undefined) this.enrol(strongest.fingerprint, strongest.source);
  }

  /** Trusts a fingerprint that a person provided; a known root changes nothing, even rotated. */
  enrol(fingerprint: string, source: "enrolment" | "join token"): void {
    if (this.#known?.root === fingerprint) return;
    const [strongest] = this.#from.enrolled;
    if (strongest?.source === "enrolment" && strongest.fingerprint !== fingerprint) return;
    this.#keep({ fingerprint, source, root: fingerprint, key: null });
    this.#from.log("info", "key of the control plane", { fingerprint, source });
  }

  /** The control plane presents its key in a reply. */
  shown({ key, vouched }: ShownKey): void {
    const fingerprint = fingerprintOf(key);
    if (fingerprint === null) return;
    const known = this.#known;
    const source: KeySource = this.#isSecure() ? "tls" : "first use";
    if (known === null) return this.#learn({ fingerprint, source, root: null, key });
    if (known.fingerprint === fingerprint) {
      const isStronger = source === "tls" && known.source === "first use";
      if (isStronger || known.key === null) {
        this.#keep({ ...known, key, ...(isStronger ? { source } : {}) });
      }
      return;
    }
    const text = vouchText(fingerprint);
    const isVouched = (vouched ?? []).some(({ by, value }) => {
      return fingerprintOf(by) === known.fingerprint && isSigned(text, by, value);
    });
    if (isVouched) {
      this.#from.log("info", "the control plane has a new key", { fingerprint });
      return this.#keep({ ...known, fingerprint, key });
    }
    if (source === "tls" && known.root === null) {
      return this.#learn({ fingerprint, source, root: null, key });
    }
    if (this.#warned === fingerprint) return;
    this.#warned = fingerprint;
    const why = "orders signed with it are refused; enrol this node again if the change is meant";
    const { source: by } = known;
    const fields = { shown: fingerprint, known: known.fingerprint, by, why };
    this.#from.log("warn", "the control plane presents another key than the stored one", fields);
  }

  /** Why the order is refused; `null` = signed by the known key, for this node, and current. */
  judge(command: AgentCommand): string | null {
    const { signature } = command;
    if (!signature) return "it is not signed (a control plane older than this agent does not sign)";
    const known = this.#known;
    if (known === null) return "no key of the control plane is known yet";
    const signer = fingerprintOf(signature.key) ?? "no key";
    if (signer !== known.fingerprint) {
      return `it is signed with ${signer}, and this node knows ${known.fingerprint}`;
    }
    const { expires_at, key, value } = signature;
    const text = orderText({ ...command, node: this.#from.nodeId, expires_at });
    if (!isSigned(text, key, value)) return "the signature is not that of this order to this node";
    const leftMs = expires_at - this.#from.now();
    const at = instantOf(expires_at);
    if (leftMs <= 0) return `it expired at ${at} by the clock of this machine`;
    if (leftMs > ORDER_LIFE_MAX_MS) {
      return `it expires at ${at}, too far away: check the clock of this machine`;
    }
    if (known.key === null) this.#keep({ ...known, key });
    return null;
  }

  /** Counts a refused order. False if it gets no answer: a flood, or a repetition. */
  noteRefusal(command: AgentCommand, why: string): boolean {
    const now = this.#from.now();
    const id = command.command_id;
    this.#recent = this.#recent.filter(({ at }) => Math.abs(now - at) < AGAIN_MS);
    if (this.#recent.length >= REFUSALS_PER_MINUTE) return false;
    if (this.#recent.some((one) => one.id === id)) return false;
    this.#recent.push({ id, at: now });
    const last = `${command.type} ${id} at ${instantOf(now)}: ${why}`.slice(0, 300);
    this.#refused = { count: this.#refused.count + 1, last };
    this.#from.log("warn", "an order is refused", { command_id: id, type: command.type, why });
    this.#save();
    return true;
  }

  /** Whether the known key signed these bytes: the list of checksums of a release. */
  hasSigned(bytes: Uint8Array, signature: Uint8Array): boolean {
    const key = this.#known?.key ?? null;
    return key !== null && isSigned(bytes, key, Buffer.from(signature).toString("base64"));
  }

  view(): AgentTrust {
    const { count, last } = this.#refused;
    return {
      transport: transportOf(this.#from.base),
      key: this.#known?.fingerprint ?? null,
      source: this.#known?.source ?? null,
      refused: count,
      last_refusal: last,
    };
  }

  #isSecure(): boolean {
    return transportOf(this.#from.base) === "https";
  }

  #learn(known: Known): void {
    this.#keep(known);
    const { fingerprint, source } = known;
    const isFirstUse = source === "first use" && transportOf(this.#from.base) !== "loopback";
    const why = "trusted on first use over plain http: compare it with the control plane's log";
    const more = isFirstUse ? { why } : {};
    const level = isFirstUse ? "warn" : "info";
    this.#from.log(level, "key of the control plane", { fingerprint, source, ...more });
  }

  #keep(known: Known): void {
    this.#known = known;
    this.#save();
  }

  #save(): void {
    this.#from.files.save(FILE, JSON.stringify({ known: this.#known, refused: this.#refused }));
  }
}

/** `https`, `http`, or `loopback` for http that does not leave the machine. */
export function transportOf(base: string): "https" | "http" | "loopback" {
  if (base.startsWith("https:")) return "https";
  return isLoopback(URL.parse(base)?.hostname ?? "") ? "loopback" : "http";
}

/** `sha256:<hex>` of an Ed25519 key's SubjectPublicKeyInfo in base64; `null` if it is none. */
export function fingerprintOf(key: string): string | null {
  const spki = Buffer.from(key, "base64");
  try {
    const made = createPublicKey({ key: spki, format: "der", type: "spki" });
    if (made.asymmetricKeyType !== "ed25519") return null;
    return `sha256:${createHash("sha256").update(spki).digest("hex")}`;
  } catch {
    return null;
  }
}

function isSigned(data: string | Uint8Array, key: string, value: string): boolean {
  try {
    const spki = Buffer.from(key, "base64");
    const made = createPublicKey({ key: spki, format: "der", type: "spki" });
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    return verify(null, bytes, made, Buffer.from(value, "base64"));
  } catch {
    return false;
  }
}

/** Numbers that are no date are printed too. */
function instantOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}
