/**
 * Tries a provider as a control plane uses it, and reports what does not work. Without a purchase
 * it only lists instances. With one it buys an instance under its own fleet, which no control plane
 * manages, repeats the request, and terminates the instance, also if it is interrupted.
 *
 * Adapter: the provider, the clock.
 */
import { isOwnedType } from "../../schema/config/provider.ts";
import type { Clock } from "../core/clock.ts";
import type {
  CreateRequest,
  Fence,
  Instance,
  Provider,
  TerminateAnswer,
} from "../core/provider.ts";

export const CHECK_FLEET = "navarch-check";
const POLL_MS = 1_000;

/**
 * How long a termination is repeated that the cloud does not take yet: EC2 reports an instance as
 * unknown for some seconds after it was bought, and every cloud limits its rate.
 */
const INSIST_MS = 60_000;

export type Trial = { check: string; outcome: "ok" | "warn" | "fail"; message: string };

export type Purchase = {
  instanceType: string;
  region: string | null;
  zone: string | null;
  /** Unique among all checks. */
  id: string;
  /** Milliseconds within which the list must show the termination. */
  endMs: number;
};

export type Timing = { clock: Clock; sleep(ms: number): Promise<void> };

type Around = Timing & {
  /** Called before the purchase, with the name by which it can be found. */
  buying(name: string): void;
  /** Called as soon as an instance that costs money exists. */
  bought(instance: Instance): void;
  /** Called when the cloud has accepted the end of one. */
  ended(instance: Pick<Instance, "id">): void;
  /** Aborted = terminate what was bought, and wait for nothing else. */
  signal: AbortSignal;
};

/** `left`: what earlier checks left running; `null`: the list failed, and nothing may be bought. */
export async function tryList(
  provider: Provider,
  { clock }: Timing,
): Promise<{ trials: Trial[]; left: Instance[] | null }> {
  const began = clock.monoMs();
  const listed = await provider.list();
  if (listed.kind !== "ok") {
    return { trials: [fail("list", `${listed.class}: ${listed.message}`)], left: null };
  }
  const trials = [ok("list", `answered in ${Math.round(clock.monoMs() - began)} ms`)];
  // A cloud's account is examined by `doctor providers`; owned machines have none.
  if (isOwnedType(provider.type)) trials.push(...(await provider.inspect([])));
  return { trials, left: listed.instances.filter((one) => one.state !== "terminated") };
}

/** What is said of an instance that an earlier check left and that is not ended now. */
export const stillLeft = ({ id, name }: Instance): Trial =>
  warn("left", `${id} (${name}), of an earlier check, is billed: --end-left terminates it`);

export async function endLeft(
  provider: Provider,
  instance: Instance,
  timing: Timing,
): Promise<Trial> {
  const { id, name } = instance;
  const nodeId = instance.tags["navarch-node"] ?? name;
  const ended = await endOne(provider, id, { nodeId, fence: 1, sessionId: null }, timing);
  if (ended !== null) return fail("left", unended(id, ended));
  return ok("left", `${id} (${name}), left by an earlier check: termination accepted`);
}

/** Yields each trial when it ends. A failed purchase ends the check. */
export async function* tryPurchase(
  provider: Provider,
  purchase: Purchase,
  around: Around,
): AsyncGenerator<Trial> {
  const request = requestOf(purchase);
  around.buying(request.name);
  const made = await provider.create(request, fenceOf(request), null);
  if (made.kind === "refused") return yield fail("create", whyNot(made));
  const isKnown = made.kind === "ok";
  const instance = made.kind === "ok" ? made.instance : await lookFor(provider, request, around);
  if (made.kind === "ambiguous") {
    const found = instance?.id ?? `${request.name} may exist and be billed: look for it`;
    yield fail("create", `${whyNot(made)}; ${found}`);
  }
  if (instance === null) return;
  around.bought(instance);
  try {
    if (isKnown) yield ok("create", `${instance.id}, ${instance.state}`);
    if (isKnown) yield* tryInstance(provider, request, instance, around);
  } finally {
    yield* tryEnd(provider, request, instance, { ...around, endMs: purchase.endMs });
  }
}

async function* tryInstance(
  provider: Provider,
  request: CreateRequest,
  instance: Instance,
  around: Around,
): AsyncGenerator<Trial> {
  const { signal } = around;
  if (signal.aborted) return;
  if (provider.class === "tag-only") {
    yield ok("repeat", "not tried: class tag-only, a repeat buys a second instance");
  } else yield* tryRepeat(provider, request, instance, around);
  const settleMs = settleOf(provider);
  const seen = await waitFor(provider, around, settleMs, (all) =>
    all.find(({ id }) => id === instance.id),
  );
  if (seen === null) {
    if (signal.aborted) return;
    return yield fail("listed", `not listed after ${settleMs / 1_000} s: settle is too short`);
  }
  const lost = Object.entries(request.tags).filter(([key, value]) => seen.tags[key] !== value);
  if (lost.length > 0) {
    yield fail("tags", `the list lacks ${lost.map(([key]) => key).join(", ")}`);
  } else yield ok("listed", "with all its tags");
  if (seen.pricePerHour === null) {
    yield warn("price", "not reported: spend ceilings cannot count it");
  } else yield ok("price", `$${seen.pricePerHour} an hour`);
}

async function* tryRepeat(
  provider: Provider,
  request: CreateRequest,
  instance: Instance,
  around: Around,
): AsyncGenerator<Trial> {
  const again = await provider.create(request, fenceOf(request), null);
  if (again.kind !== "ok") return yield fail("repeat", whyNot(again));
  const { id } = again.instance;
  if (id === instance.id) return yield ok("repeat", "the same instance");
  around.bought(again.instance);
  const ended = await endOne(provider, id, fenceOf(request), around);
  if (ended === null) around.ended(again.instance);
  const isNot = `the class is not ${provider.class}, write class: tag-only`;
  yield fail("repeat", `bought a second instance (${id}): ${isNot}`);
  if (ended !== null) yield fail("terminate", unended(id, ended));
}

async function* tryEnd(
  provider: Provider,
  request: CreateRequest,
  { id }: Instance,
  around: Around & { endMs: number },
): AsyncGenerator<Trial> {
  const ended = await endOne(provider, id, fenceOf(request), around);
  if (ended !== null) return yield fail("terminate", unended(id, ended));
  around.ended({ id });
  yield ok("terminate", "accepted");
  if (!around.signal.aborted) {
    const again = await provider.terminate(id, fenceOf(request));
    const isSame = again.kind === "accepted" || again.kind === "not_found";
    if (!isSame) yield fail("repeat end", whyNot(again));
  }
  const gone = await waitFor(provider, around, around.endMs, (all) => {
    const one = all.find((instance) => instance.id === id);
    return one === undefined || one.state === "terminated" ? true : undefined;
  });
  if (gone !== null) return yield ok("ended", "no longer listed as running");
  if (around.signal.aborted) {
    return yield warn("ended", `${id} was still listed when the check was interrupted`);
  }
  yield fail("ended", `still listed after ${around.endMs / 1_000} s; ${id} may be billed`);
}

/** `null` = accepted. An answer that may change is asked for again, also after an interrupt. */
async function endOne(
  provider: Provider,
  id: Instance["id"],
  fence: Fence,
  { clock, sleep }: Timing,
): Promise<TerminateAnswer | null> {
  const untilMono = clock.monoMs() + INSIST_MS;
  for (;;) {
    const ended = await provider.terminate(id, fence);
    if (ended.kind === "accepted") return null;
    const isFinal = ended.kind === "refused" && ended.class !== "rate_limit";
    if (isFinal || clock.monoMs() + POLL_MS > untilMono) return ended;
    await sleep(POLL_MS);
  }
}

/**
 * The result of an uncertain purchase, if the list shows it within the provider's settle time. Not
 * cut short by an interrupt: only the list can say whether there is something to terminate.
 */
async function lookFor(
  provider: Provider,
  { name }: CreateRequest,
  timing: Timing,
): Promise<Instance | null> {
  const { signal } = new AbortController();
  return waitFor(provider, { ...timing, signal }, settleOf(provider), (all) =>
    all.find(({ tags, ...one }) => one.name === name || tags["navarch-node"] === name),
  );
}

const settleOf = ({ settleMs }: Provider): number => Math.max(settleMs, 120_000);

/** Lists until `find` returns a value; `null` if none does within `withinMs`, or if interrupted. */
async function waitFor<T>(
  provider: Provider,
  { clock, sleep, signal }: Timing & { signal: AbortSignal },
  withinMs: number,
  find: (instances: readonly Instance[]) => T | undefined,
): Promise<T | null> {
  const untilMono = clock.monoMs() + withinMs;
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const onAbort = (): void => resolve();
  signal.addEventListener("abort", onAbort);
  try {
    for (;;) {
      const answer = await provider.list();
      const found = answer.kind === "ok" ? find(answer.instances) : undefined;
      if (found !== undefined) return found;
      if (signal.aborted || clock.monoMs() + POLL_MS > untilMono) return null;
      await Promise.race([sleep(POLL_MS), aborted]);
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function requestOf({ id, instanceType, region, zone }: Purchase): CreateRequest {
  const name = `${CHECK_FLEET}-${id}`;
  const tags = {
    "navarch-fleet": CHECK_FLEET,
    "navarch-pool": "check",
    "navarch-node": name,
    "navarch-slot": "0",
    "navarch-gen": "1",
  };
  const place = { region, zone, instanceType, market: "on-demand", reservation: null } as const;
  return { token: name, name, nodeId: name, ...place, tags, sshKeys: [] };
}

const fenceOf = ({ nodeId }: CreateRequest): Fence => ({ nodeId, fence: 1, sessionId: null });

const unended = (id: string, ended: Said): string =>
  `${whyNot(ended)}; ${id} is billed: terminate it by hand`;

type Said = { kind: string; class?: string; message?: string };
const whyNot = ({ kind, class: cls, message }: Said): string =>
  `${cls ?? kind}${message === undefined ? "" : `: ${message}`}`;

const ok = (check: string, message: string): Trial => ({ check, outcome: "ok", message });
const warn = (check: string, message: string): Trial => ({ check, outcome: "warn", message });
const fail = (check: string, message: string): Trial => ({ check, outcome: "fail", message });
