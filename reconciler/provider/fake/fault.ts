/**
 * Faults of the fake cloud: refusals, stock-outs, lost and late answers, wrong lists. They are data
 * (JSON, or an object from a test); a `FaultBook` decides the fate of each call from them and a
 * seeded random source.
 */
import { type Millis, waitMs } from "../../../schema/millis.ts";
import * as v from "valibot";
import type { CreateRequest, InstanceState, RefusalClass } from "../../core/provider.ts";
import { INSTANCE_STATES, REFUSAL_CLASSES } from "../../core/provider.ts";
import { amount, count, share } from "../../../schema/number.ts";

/** A probability per call, or exactly the next `times` calls. */
const Chance = v.union([share, v.strictObject({ times: count })]);
type Chance = v.InferOutput<typeof Chance>;

const RefusalName = v.picklist(REFUSAL_CLASSES);
const StateName = v.picklist(INSTANCE_STATES);
const Lossy = v.strictObject({
  create: v.optional(Chance, 0),
  terminate: v.optional(Chance, 0),
});

export const Faults = v.strictObject({
  /** No capacity: everywhere and always, or limited by time, region, zone and type. */
  stockOut: v.optional(
    v.union([
      v.boolean(),
      v.strictObject({
        untilMs: v.optional(amount),
        regions: v.optional(v.array(v.string())),
        zones: v.optional(v.array(v.string())),
        instanceTypes: v.optional(v.array(v.string())),
      }),
    ]),
  ),
  /** The next `times` creates are refused; without `times`, all. */
  refuse: v.optional(
    v.strictObject({
      class: RefusalName,
      times: v.optional(count),
      message: v.optional(v.string()),
      retryAfterMs: v.optional(amount),
    }),
  ),
  /** The same for terminates; `auth` and `rate_limit` make sense. */
  refuseTerminate: v.optional(v.strictObject({ class: RefusalName, times: v.optional(count) })),
  /** Accepted, but the answer never arrives. */
  loseReply: v.optional(Lossy),
  /** The request never arrives; the caller sees the same as above. */
  loseAsk: v.optional(Lossy),
  /** Creates take effect this much later, after the caller has given up. */
  lateLandingMs: v.optional(amount),
  /** Which creates are late; default all. */
  lateLanding: v.optional(Chance),
  /** Slow answers: the effect is immediate, the answer late. */
  createDelayMs: v.optional(amount),
  terminateDelayMs: v.optional(amount),
  listDelayMs: v.optional(amount),
  /** Override the cloud's boot and termination times. */
  bootMs: v.optional(amount),
  terminateMs: v.optional(amount),
  /** The next terminates answer an error without a code and do nothing. */
  terminateFails: v.optional(count),
  /** The next terminates answer `not_found` for an existing instance. */
  terminateNotFound: v.optional(count),
  /** The next terminates are accepted and forgotten. */
  terminateIgnored: v.optional(count),
  listFails: v.optional(count),
  listFailsWith: v.optional(v.picklist(["auth", "rate_limit", "unavailable"])),
  listLagMs: v.optional(amount),
  /** An empty list without an error. */
  emptyList: v.optional(v.boolean()),
  /** The share of instances that a list omits without an error, 0 to 1. */
  partial: v.optional(share),
  duplicateListing: v.optional(v.boolean()),
  wrongState: v.optional(StateName),
  /** Override prices: US dollars an hour by instance type. */
  prices: v.optional(v.record(v.string(), amount)),
});
export type Faults = v.InferInput<typeof Faults>;

export type Refusal = { class: RefusalClass; message: string; retryAfterMs: Millis | null };

export type CreateFate = {
  /** Refused before the idempotency check, so replays are refused too. */
  door: Refusal | null;
  /** Refused only if it would create an instance. */
  refusal: Refusal | null;
  askLost: boolean;
  replyLost: boolean;
  landDelayMs: number;
  answerDelayMs: number;
  bootMs: number | null;
  prices: Record<string, number> | null;
};
export type TerminateFate = {
  door: Refusal | null;
  failed: boolean;
  notFound: boolean;
  ignored: boolean;
  replyLost: boolean;
  answerDelayMs: number;
  terminateMs: number | null;
};
export type ListFate = {
  failure: "auth" | "rate_limit" | "unavailable" | null;
  empty: boolean;
  leftOut: number;
  duplicate: boolean;
  wrongState: InstanceState | null;
  lagMs: number | null;
  answerDelayMs: number;
};

/** Parses a faults document; the message names path, expected and found. */
export function parseFaults(
  document: unknown,
): { kind: "ok"; faults: Faults } | { kind: "bad"; message: string } {
  const parsed = v.safeParse(Faults, document);
  if (parsed.success) return { kind: "ok", faults: parsed.output };
  const issue = parsed.issues[0];
  const path = issue.path?.map((part) => String(part.key)).join(".") ?? "";
  const where = path === "" ? "faults" : `faults.${path}`;
  const expected = issue.expected ?? "something else";
  return { kind: "bad", message: `${where}: expected ${expected}, found ${issue.received}` };
}

/** Decides the fate of each call, and counts the faults with an exact number. */
export class FaultBook {
  #faults: Faults;
  #left = new Map<string, number>();
  readonly #random: () => number;

  constructor(faults: Faults, random: () => number, left: ReadonlyMap<string, number> = new Map()) {
    this.#faults = faults;
    this.#random = random;
    this.#left = new Map(left);
  }

  /** Remaining counts of the counted faults that have fired. */
  left(): ReadonlyMap<string, number> {
    return this.#left;
  }

  /** Replaces the faults and resets their counts. */
  set(faults: Faults): void {
    this.#faults = faults;
    this.#left.clear();
  }

  #take(key: string, count: number | undefined): boolean {
    if (count === undefined) return false;
    const left = this.#left.get(key) ?? count;
    if (left <= 0) return false;
    this.#left.set(key, left - 1);
    return true;
  }

  #chance(key: string, chance: Chance | undefined): boolean {
    if (chance === undefined || chance === 0) return false;
    if (typeof chance === "object") return this.#take(key, chance.times);
    return this.#random() < chance;
  }

  #stockOut(request: CreateRequest, nowMs: number): boolean {
    const out = this.#faults.stockOut;
    if (out === undefined || typeof out === "boolean") return out === true;
    const meets = (list: string[] | undefined, value: string | null) =>
      list === undefined || (value !== null && list.includes(value));
    return (
      (out.untilMs === undefined || nowMs < out.untilMs) &&
      meets(out.regions, request.region) &&
      meets(out.zones, request.zone) &&
      meets(out.instanceTypes, request.instanceType)
    );
  }

  create(request: CreateRequest, nowMs: number): CreateFate {
    const faults = this.#faults;
    const late = faults.lateLandingMs ?? 0;
    let door: Refusal | null = null;
    let refusal: Refusal | null = null;
    const { refuse } = faults;
    if (
      refuse !== undefined &&
      (refuse.times === undefined || this.#take("refuse", refuse.times))
    ) {
      const said = {
        class: refuse.class,
        message: refuse.message ?? `${refuse.class} by injection`,
        retryAfterMs: refuse.retryAfterMs === undefined ? null : waitMs(refuse.retryAfterMs),
      };
      if (refuse.class === "auth" || refuse.class === "rate_limit") door = said;
      else refusal = said;
    } else if (this.#stockOut(request, nowMs)) {
      const message = `no capacity for ${request.instanceType}`;
      refusal = { class: "capacity", message, retryAfterMs: null };
    }
    const isLate =
      late > 0 && (faults.lateLanding === undefined || this.#chance("late", faults.lateLanding));
    return {
      door,
      refusal,
      askLost: this.#chance("ask.create", faults.loseAsk?.create),
      replyLost: this.#chance("reply.create", faults.loseReply?.create),
      landDelayMs: isLate ? late : 0,
      answerDelayMs: faults.createDelayMs ?? 0,
      bootMs: faults.bootMs ?? null,
      prices: faults.prices ?? null,
    };
  }

  terminate(): TerminateFate {
    const faults = this.#faults;
    const { refuseTerminate: refuse } = faults;
    let door: Refusal | null = null;
    if (
      refuse !== undefined &&
      (refuse.times === undefined || this.#take("refuse.terminate", refuse.times))
    ) {
      door = { class: refuse.class, message: `${refuse.class} by injection`, retryAfterMs: null };
    }
    return {
      door,
      failed:
        this.#take("terminate.fails", faults.terminateFails) ||
        this.#chance("ask.terminate", faults.loseAsk?.terminate),
      notFound: this.#take("terminate.notFound", faults.terminateNotFound),
      ignored: this.#take("terminate.ignored", faults.terminateIgnored),
      replyLost: this.#chance("reply.terminate", faults.loseReply?.terminate),
      answerDelayMs: faults.terminateDelayMs ?? 0,
      terminateMs: faults.terminateMs ?? null,
    };
  }

  list(): ListFate {
    const faults = this.#faults;
    const fails = this.#take("list.fails", faults.listFails);
    return {
      failure: fails ? (faults.listFailsWith ?? "unavailable") : null,
      empty: faults.emptyList ?? false,
      leftOut: faults.partial ?? 0,
      duplicate: faults.duplicateListing ?? false,
      wrongState: faults.wrongState ?? null,
      lagMs: faults.listLagMs ?? null,
      answerDelayMs: faults.listDelayMs ?? 0,
    };
  }
}
