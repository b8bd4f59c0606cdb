/**
 * Checks invariants on the journal of one simulated cloud, entry by entry: what the product made it
 * do, never what the product believes. Pure. It checks I2 (one live instance per slot, two under
 * surge), that no purchase is made twice, and I13 (machines of others are not touched). Effects are
 * also collected, to be compared with the store (I1).
 */
import type { Entry } from "../../reconciler/provider/fake/entry.ts";
import type { CreateRequest } from "../../reconciler/core/provider.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { Setting } from "./setting.ts";

export type Rule =
  | "I1 committed intent"
  | "I2 one per slot"
  | "no double of one ask"
  | "I3 nothing unknown"
  | "I4 no capacity thrown away"
  | "I13 hands off"
  | "I14 audit"
  | "liveness"
  | "quiet"
  | "alive";

export type Violation = {
  rule: Rule;
  cloud: string | null;
  atMs: number;
  /** The node whose journal entries and operation rows explain it. */
  node: string | null;
  what: string;
};

/** A call of the product that the cloud wrote down. */
export type Effect = {
  cloud: string;
  kind: "create" | "terminate";
  atMs: number;
  nodeId: string;
  fence: number;
  token: string | null;
  request: CreateRequest | null;
  instanceId: string | null;
};

/** Prefix of the tokens of instances that the harness puts into a cloud; the product has others. */
export const PLANTED = "planted-";

type Made = {
  id: string;
  request: CreateRequest;
  nodeId: string;
  acceptedAtMs: number;
  landedAtMs: number | null;
  /** Its termination was ordered outside the product. */
  deleted: boolean;
  /** It appeared too late to be matched to its request, for a reason that the class allows. */
  late: boolean;
};

export type Held = { id: string; nodeId: string; planted: boolean; landedAtMs: number };

export class CloudJudge {
  readonly setting: Setting;
  readonly entries: Entry[] = [];
  /** Surplus instances that appeared late; they must be terminated like any orphan. */
  surplus = 0;
  readonly #fleetId: string;
  readonly #made = new Map<string, Made>();
  readonly #live = new Map<string, Made>();
  readonly #byToken = new Map<string, Made[]>();
  #effects: Effect[] = [];

  constructor(setting: Setting, fleetId: string) {
    this.setting = setting;
    this.#fleetId = fleetId;
  }

  see(entries: readonly Entry[]): Violation[] {
    return entries.flatMap((entry) => {
      this.entries.push(entry);
      return this.#seeOne(entry);
    });
  }

  /** Effects since the last call, oldest first. */
  takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Live instances that carry the fleet's tag. */
  own(): Held[] {
    return [...this.#live.values()].filter((made) => this.#isOwn(made)).map(heldOf);
  }

  /** Live instances without the fleet's tag. */
  foreign(): Held[] {
    return [...this.#live.values()].filter((made) => !this.#isOwn(made)).map(heldOf);
  }

  /** Number of accepted purchases that have neither appeared nor been dropped. */
  pending(): number {
    return [...this.#made.values()].filter((made) => made.landedAtMs === null).length;
  }

  #isOwn(made: Made): boolean {
    return made.request.tags["navarch-fleet"] === this.#fleetId;
  }

  #say(rule: Rule, atMs: number, node: string | null, what: string): Violation {
    return { rule, cloud: this.setting.name, atMs, node, what };
  }

  #effect(effect: Omit<Effect, "cloud">): void {
    this.#effects.push({ cloud: this.setting.name, ...effect });
  }

  #seeOne(entry: Entry): Violation[] {
    switch (entry.kind) {
      case "create.accepted": {
        const { id, request, nodeId, fence, atMs } = entry;
        const fresh = { landedAtMs: null, deleted: false, late: false };
        this.#made.set(id, { id, request, nodeId, acceptedAtMs: atMs, ...fresh });
        if (isPlanted(request)) return [];
        const { token } = request;
        this.#effect({ kind: "create", atMs, nodeId, fence, token, request, instanceId: id });
        return [];
      }
      case "create.repeated":
      case "create.refused": {
        const { token, nodeId, fence, atMs } = entry;
        const instanceId = entry.kind === "create.repeated" ? entry.id : null;
        if (!token.startsWith(PLANTED))
          this.#effect({ kind: "create", atMs, nodeId, fence, token, request: null, instanceId });
        return [];
      }
      case "terminate.accepted":
      case "terminate.refused":
        return this.#seeTerminate(entry);
      case "landed":
        return this.#seeLanded(entry.instance.id, entry.atMs);
      case "dropped":
        this.#made.delete(entry.id);
        return [];
      case "terminated":
        this.#live.delete(entry.id);
        return [];
      default:
        return [];
    }
  }

  #seeTerminate(
    entry: Extract<Entry, { kind: "terminate.accepted" | "terminate.refused" }>,
  ): Violation[] {
    const { id, nodeId, fence, atMs } = entry;
    const made = this.#made.get(id);
    if (nodeId === null || fence === null) {
      if (made !== undefined) made.deleted = true;
      return [];
    }
    this.#effect({
      kind: "terminate",
      atMs,
      nodeId,
      fence,
      token: null,
      request: null,
      instanceId: id,
    });
    if (made !== undefined && this.#isOwn(made)) return [];
    const whose = made?.request.tags["navarch-fleet"] ?? "nobody";
    return [this.#say("I13 hands off", atMs, nodeId, `ended ${id}, which belongs to ${whose}`)];
  }

  #seeLanded(id: string, atMs: number): Violation[] {
    const made = this.#made.get(id);
    if (made === undefined) return [];
    made.landedAtMs = atMs;
    const others = this.#sharers(made);
    this.#live.set(id, made);
    // The product did not request it; whether it is found and ended is checked at the end (I3).
    if (isPlanted(made.request) || !this.#isOwn(made)) return [];
    const found: Violation[] = [];
    const { token } = made.request;
    const earlier = this.#byToken.get(token) ?? [];
    this.#byToken.set(token, [...earlier, made]);
    made.late = this.#isLate(made, earlier);
    if (earlier.length > 0 && !made.late && !this.#mayRepeat(earlier)) {
      const what = `one ask made ${[...earlier, made].map((one) => one.id).join(" and ")}`;
      found.push(this.#say("no double of one ask", atMs, made.nodeId, `${what} (${token})`));
    }
    const together = [...others, made];
    if (together.length <= (this.setting.surge ? 2 : 1)) return found;
    if (together.some((one) => one.late)) {
      this.surplus += 1;
      return found;
    }
    const slot = made.request.tags["navarch-slot"];
    const ids = together.map((one) => one.id).join(", ");
    const what = `slot ${slot} has ${together.length} live instances: ${ids}`;
    return [...found, this.#say("I2 one per slot", atMs, made.nodeId, what)];
  }

  /** Live instances of the same slot that the product asked for. */
  #sharers(made: Made): Made[] {
    const slotOf = ({ tags }: CreateRequest) => `${tags["navarch-pool"]}/${tags["navarch-slot"]}`;
    return [...this.#live.values()].filter(
      (other) =>
        this.#isOwn(other) &&
        !isPlanted(other.request) &&
        slotOf(other.request) === slotOf(made.request),
    );
  }

  /**
   * Without client tokens, an open request is sent again when the list shows no instance for it,
   * even if a console deleted that instance (docs/reference/providers.md#repeating-a-request).
   */
  #mayRepeat(earlier: readonly Made[]): boolean {
    const deleted = earlier.every((one) => one.deleted && !this.#live.has(one.id));
    return deleted && this.setting.class !== "token";
  }

  /**
   * Tag-only (I2): an instance that appears later than `settle` after its acceptance may be a
   * surplus. Unique name: after a console deleted the instance its name is free, so a delayed copy
   * of the same request makes a second one.
   */
  #isLate({ acceptedAtMs, landedAtMs }: Made, earlier: readonly Made[]): boolean {
    const lateMs = (landedAtMs ?? 0) - acceptedAtMs;
    switch (this.setting.class) {
      case "token":
        return false;
      case "name":
        return lateMs > 0 && earlier.length > 0 && this.#mayRepeat(earlier);
      case "tag-only":
        return lateMs > this.setting.settleMs;
      default:
        return unreachable(this.setting.class);
    }
  }
}

const isPlanted = (request: CreateRequest): boolean => request.token.startsWith(PLANTED);

function heldOf(made: Made): Held {
  const { id, nodeId, request, landedAtMs } = made;
  return { id, nodeId, planted: isPlanted(request), landedAtMs: landedAtMs ?? 0 };
}
