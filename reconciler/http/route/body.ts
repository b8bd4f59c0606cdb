/**
 * Reads request bodies before the routes see them, with limits: a wall-clock deadline for each, a
 * number of bodies for each caller, and a sum of bytes for all. The server's idle timeout restarts
 * with each byte, and the server buffers what is not read, so neither bounds memory. A refusal
 * therefore closes the connection. A stranger's body that needs a place takes that of an older one
 * that is still arriving: slow bodies never keep out one that arrives at once.
 *
 * Adapter: network, timers.
 */
import { LIMIT } from "../../../schema/limit.ts";
import type { ErrorCode } from "../../../schema/api.ts";
import { blockOf } from "../../security/audit/logins.ts";
import type { Principal } from "../../security/auth.ts";
import { refuseUpgrade } from "./request.ts";
import { type Displaced, readAll } from "./read-all.ts";

/** The sender of a body, and its limits. */
export type Caller = {
  key: string;
  bytesMax: number;
  placesMax: number;
  /** Not authenticated (yet): all strangers share a part of the sum. */
  stranger: boolean;
};

/** An agent sends one report at a time; a dead connection may still hold an earlier one. */
const NODE_PLACES = 4;
/** A person's scripts, or the agents of one address before each has its own credential. */
const PLACES = 16;

/** A caller with a credential; agents that share a token are distinguished by address. */
export function callerOf(
  principal: Principal,
  remote: string,
  bytesMax: number = LIMIT.requestBytesMax,
): Caller {
  const { name, node, shared } = principal;
  if (node !== null) return { key: name, bytesMax, placesMax: NODE_PLACES, stranger: false };
  const key = shared ? `shared ${blockOf(remote)}` : name;
  return { key, bytesMax, placesMax: PLACES, stranger: false };
}

/** A caller that this process cannot authenticate, or not yet. */
export function strangerOf(remote: string, what: keyof typeof STRANGERS): Caller {
  const key = `${what} from ${blockOf(remote)}`;
  return { key, bytesMax: STRANGERS[what], placesMax: PLACES, stranger: true };
}

/** Each kind has places of its own: joins that wait for another server block no log-in. */
const STRANGERS = {
  joins: LIMIT.joinBytesMax,
  /** A form holds a reason or a token. */
  forms: 64 * 1_024,
  "signed reports": LIMIT.requestBytesMax,
  /** Of a token that the leader may know. */
  calls: LIMIT.requestBytesMax,
} as const;

export type BodyAnswer =
  /** The same request with its body in memory; `release` returns its bytes to the sum. */
  { kind: "read"; request: Request; release(): void } | { kind: "refused"; response: Response };

export type BodyLimits = { deadlineMs: number; bytesMax: number };

const LIMITS: BodyLimits = { deadlineMs: LIMIT.bodyMsMax, bytesMax: LIMIT.bodiesBytesMax };
/** Strangers may use this part of the sum, so that they never displace known callers. */
const STRANGERS_SHARE = 1 / 4;

export function hasBody(request: Request): boolean {
  const { headers } = request;
  if (headers.has("transfer-encoding")) return true;
  const length = headers.get("content-length");
  return length === null ? request.body !== null : length !== "0";
}

/**
 * The same request without its body, which nothing then reads: for callers whose body has no place
 * in `Bodies`.
 */
export function bodiless({ url, method, headers: given }: Request): Request {
  const headers = new Headers(given);
  for (const name of ["content-length", "transfer-encoding"]) headers.delete(name);
  return new Request(url, { method, headers });
}

/** A stranger's body that is still arriving; `displace` gives its place and bytes to another. */
type Arriving = { key: string; bytes: number; displace(): void };

export class Bodies {
  private readonly limits: BodyLimits;
  private readonly places = new Map<string, number>();
  /** Oldest first. */
  private readonly arriving = new Set<Arriving>();
  private reserved = 0;
  private strange = 0;

  constructor(limits: BodyLimits = LIMITS) {
    this.limits = limits;
  }

  /** Bytes reserved for bodies that are being read or used. */
  get bytes(): number {
    return this.reserved;
  }

  async read(request: Request, caller: Caller): Promise<BodyAnswer> {
    const { key, bytesMax } = caller;
    const declared = Number(request.headers.get("content-length") ?? bytesMax);
    if (!(declared <= bytesMax)) return tooLarge(bytesMax);
    const refusal = this.makeRoom(caller, declared);
    if (refusal !== null) return refusal;
    const release = this.reserve(caller, declared);
    const read = await this.readWhole(request, caller, { declared, release });
    if (read.kind === "bytes") {
      const { url, method, headers } = request;
      const whole = new Request(url, { method, headers, body: read.bytes });
      return { kind: "read", request: whole, release };
    }
    release();
    if (read.kind === "large") return tooLarge(bytesMax);
    if (read.kind === "displaced") {
      const message = `the body of ${key} arrived too slowly while others waited; retry`;
      return refused("unavailable", message, 503);
    }
    if (read.kind === "late") {
      const limit = `${this.limits.deadlineMs / 1_000} s`;
      return refused("invalid_argument", `the body did not arrive within ${limit}`, 408);
    }
    return refused("invalid_argument", "the request body is incomplete", 400);
  }

  private async readWhole(
    request: Request,
    { key, stranger }: Caller,
    { declared: bytes, release }: { declared: number; release(): void },
  ): ReturnType<typeof readAll> {
    const { deadlineMs } = this.limits;
    if (!stranger) return readAll(request, bytes, deadlineMs);
    const { promise, resolve } = Promise.withResolvers<"displaced">();
    const arriving: Arriving = {
      key,
      bytes,
      displace: () => {
        this.arriving.delete(arriving);
        release();
        resolve("displaced");
      },
    };
    this.arriving.add(arriving);
    try {
      return await readAll(request, bytes, deadlineMs, promise satisfies Displaced);
    } finally {
      this.arriving.delete(arriving);
    }
  }

  /** Why there is no room for the body; `null` = there is, or older strangers' bodies made it. */
  private makeRoom({ key, placesMax, stranger }: Caller, bytes: number): BodyAnswer | null {
    const taken = (): number => this.places.get(key) ?? 0;
    while (stranger && taken() >= placesMax && this.displaceOldest(key));
    if (taken() >= placesMax) {
      const message = `${taken()} bodies of ${key} are being read; wait for their answers`;
      return refused("rate_limited", message, 429);
    }
    const sumMax = this.limits.bytesMax * (stranger ? STRANGERS_SHARE : 1);
    const fits = (): boolean => (stranger ? this.strange : this.reserved) + bytes <= sumMax;
    // Of the address that holds most, so that one address displaces its own bodies first.
    while (stranger && bytes <= sumMax && !fits() && this.displaceOldest(this.largest()));
    return fits()
      ? null
      : refused("unavailable", "too many request bodies are being read; retry", 503);
  }

  /** False if no body of the address is arriving. */
  private displaceOldest(key: string): boolean {
    for (const one of this.arriving) {
      if (one.key !== key) continue;
      one.displace();
      return true;
    }
    return false;
  }

  /** The address whose arriving bodies have most bytes. */
  private largest(): string {
    const sums = new Map<string, number>();
    for (const { key, bytes } of this.arriving) sums.set(key, (sums.get(key) ?? 0) + bytes);
    return [...sums].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "";
  }

  /** Reserves a place and bytes; the returned function releases both, once. */
  private reserve({ key, stranger }: Caller, bytes: number): () => void {
    const add = (sign: 1 | -1): void => {
      this.reserved += sign * bytes;
      if (stranger) this.strange += sign * bytes;
      const places = (this.places.get(key) ?? 0) + sign;
      if (places > 0) this.places.set(key, places);
      else this.places.delete(key);
    };
    add(1);
    let held = true;
    return () => {
      if (held) add(-1);
      held = false;
    };
  }
}

function tooLarge(bytesMax: number): BodyAnswer {
  return refused("too_large", `the body is larger than ${bytesMax} bytes`, 413);
}

function refused(code: ErrorCode, message: string, status: number): BodyAnswer {
  const retryMs = status === 429 || status === 503 ? 1_000 : null;
  return { kind: "refused", response: closing(refuseUpgrade(code, message, { status, retryMs })) };
}

/** Ends the connection with the answer, so that the rest of the body is neither read nor kept. */
export function closing(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set("Connection", "close");
  return new Response(response.body, { status: response.status, headers });
}
