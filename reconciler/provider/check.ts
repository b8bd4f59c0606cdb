/**
 * Tries a provider as a control plane uses it, and reports what does not work. Without a purchase
 * it only lists instances. With one it buys an instance under its own fleet, which no control plane
 * manages, repeats the request, and terminates the instance.
 *
 * Adapter: the provider, the clock.
 */
import { isOwnedType } from "../../schema/config/provider.ts";
import type { Clock } from "../core/clock.ts";
import type { CreateRequest, Fence, Instance, Provider } from "../core/provider.ts";

export const CHECK_FLEET = "navarch-check";
const POLL_MS = 1_000;

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

type Around = {
  clock: Clock;
  sleep(ms: number): Promise<void>;
  /** Called as soon as an instance that costs money exists. */
  bought(instance: Instance): void;
};

/** Yields each trial when it ends. A failed first list or purchase ends the check. */
export async function* tryProvider(
  provider: Provider,
  purchase: Purchase | null,
  around: Around,
): AsyncGenerator<Trial> {
  const began = around.clock.monoMs();
  const listed = await provider.list();
  if (listed.kind !== "ok") return yield fail("list", `${listed.class}: ${listed.message}`);
  const tookMs = Math.round(around.clock.monoMs() - began);
  yield ok("list", `answered in ${tookMs} ms`);
  for (const { id, name } of listed.instances) {
    yield warn("left", `instance ${id} (${name}) remains from an earlier check: terminate it`);
  }
  // A cloud's account is examined by `doctor providers`; owned machines have none.
  if (isOwnedType(provider.type)) yield* await provider.inspect([]);
  if (purchase === null) return;
  const request = requestOf(purchase);
  const made = await provider.create(request, fenceOf(request), null);
  if (made.kind === "ambiguous") {
    const message = `${whyNot(made)}; ${request.name} may exist and be billed: look for it`;
    return yield fail("create", message);
  }
  if (made.kind !== "ok") return yield fail("create", whyNot(made));
  const { instance } = made;
  around.bought(instance);
  try {
    yield ok("create", `${instance.id}, ${instance.state}`);
    yield* tryInstance(provider, request, instance, around);
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
  if (provider.class === "tag-only") {
    yield ok("repeat", "not tried: class tag-only, a repeat buys a second instance");
  } else {
    const again = await provider.create(request, fenceOf(request), null);
    if (again.kind !== "ok") yield fail("repeat", whyNot(again));
    else if (again.instance.id === instance.id) yield ok("repeat", "the same instance");
    else {
      around.bought(again.instance);
      const message =
        `bought a second instance (${again.instance.id}): the class is not ` +
        `${provider.class}, write class: tag-only`;
      yield fail("repeat", message);
      const ended = await provider.terminate(again.instance.id, fenceOf(request));
      if (ended.kind !== "accepted") yield fail("terminate", unended(again.instance, ended));
    }
  }
  const settleMs = Math.max(provider.settleMs, 120_000);
  const seen = await waitFor(provider, around, settleMs, (all) =>
    all.find(({ id }) => id === instance.id),
  );
  if (seen === null) {
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

async function* tryEnd(
  provider: Provider,
  request: CreateRequest,
  { id }: Instance,
  around: Around & { endMs: number },
): AsyncGenerator<Trial> {
  const ended = await provider.terminate(id, fenceOf(request));
  if (ended.kind !== "accepted") {
    return yield fail("terminate", unended({ id }, ended));
  }
  yield ok("terminate", "accepted");
  const again = await provider.terminate(id, fenceOf(request));
  const isSame = again.kind === "accepted" || again.kind === "not_found";
  if (!isSame) yield fail("repeat end", whyNot(again));
  const gone = await waitFor(provider, around, around.endMs, (all) => {
    const one = all.find((instance) => instance.id === id);
    return one === undefined || one.state === "terminated" ? true : undefined;
  });
  if (gone === null) {
    const message = `still listed after ${around.endMs / 1_000} s; ${id} may be billed`;
    yield fail("ended", message);
  } else yield ok("ended", "no longer listed as running");
}

/** Lists until `find` returns a value; `null` if none does within `withinMs`. */
async function waitFor<T>(
  provider: Provider,
  { clock, sleep }: Around,
  withinMs: number,
  find: (instances: readonly Instance[]) => T | undefined,
): Promise<T | null> {
  const untilMono = clock.monoMs() + withinMs;
  for (;;) {
    const answer = await provider.list();
    const found = answer.kind === "ok" ? find(answer.instances) : undefined;
    if (found !== undefined) return found;
    if (clock.monoMs() + POLL_MS > untilMono) return null;
    await sleep(POLL_MS);
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

const unended = ({ id }: Pick<Instance, "id">, ended: Said): string =>
  `${whyNot(ended)}; ${id} is billed: terminate it by hand`;

type Said = { kind: string; class?: string; message?: string };
const whyNot = ({ kind, class: cls, message }: Said): string =>
  `${cls ?? kind}${message === undefined ? "" : `: ${message}`}`;

const ok = (check: string, message: string): Trial => ({ check, outcome: "ok", message });
const warn = (check: string, message: string): Trial => ({ check, outcome: "warn", message });
const fail = (check: string, message: string): Trial => ({ check, outcome: "fail", message });
