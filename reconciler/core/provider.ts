/**
 * The port to a cloud. An adapter neither retries nor decides: each method is one call, and its
 * answer contains only what the provider *proved* (docs/reference/providers.md#answers). Everything
 * unknown is `ambiguous`.
 */
import type { OwnedHost } from "../../schema/claim.ts";
import type { InstanceId } from "../../schema/id.ts";
import type { ProviderType } from "../../schema/config.ts";
import type { Millis } from "../../schema/millis.ts";
import type { MachineSettings, Market } from "../../schema/purchase.ts";

/**
 * How a repeated create is recognised (docs/reference/providers.md#classes): by a client token, by
 * a unique name, or not at all (`tag-only`: found by listing tags, with a settle time).
 */
export type ProviderClass = "token" | "name" | "tag-only";

/** Where and what may be bought. */
export type Place = {
  region: string | null;
  zone: string | null;
  instanceType: string;
  market: Market;
  /** The reservation's or capacity block's id, only with `reserved`. */
  reservation: string | null;
  /** What the pool sets over the provider's settings; absent = nothing. */
  settings?: MachineSettings | undefined;
};

/** A place as a pool buys there; absent = the pool names no keys. */
export type PoolPlace = Place & { sshKeys?: readonly string[] };

/** A purchase: written to the journal before the call and never changed while it is open. */
export type CreateRequest = Place & {
  /** Idempotency token, deterministic, at most 64 ASCII characters. */
  token: string;
  /** Instance name, unique per attempt, a DNS label. */
  name: string;
  nodeId: string;
  /**
   * Ownership: `navarch-fleet`, `navarch-pool`, `navarch-node`, `navarch-slot`, `navarch-gen`, and
   * the pool's labels.
   */
  tags: Record<string, string>;
  sshKeys: string[];
};

export const INSTANCE_STATES = [
  "provisioning",
  "running",
  "stopped",
  "terminating",
  "terminated",
] as const;
export type InstanceState = (typeof INSTANCE_STATES)[number];

/** An instance as the provider lists it. */
export type Instance = {
  id: InstanceId;
  name: string;
  token: string | null;
  state: InstanceState;
  tags: Record<string, string>;
  region: string | null;
  zone: string | null;
  instanceType: string;
  internalIp: string | null;
  externalIp: string | null;
  /** Wall milliseconds, by the provider's clock. */
  createdAtMs: number;
  /** US dollars an hour; `null` = unknown, which is not free. */
  pricePerHour: number | null;
  /** SSH host keys in OpenSSH's form (`ssh-ed25519 AAAA…`); `null` = the list has none. */
  hostKeys: readonly string[] | null;
  /** Why the cloud ended an accepted purchase that never ran, for example for want of capacity. */
  failure: { class: RefusalClass; message: string } | null;
  /** An interruption or planned maintenance that the cloud has announced. */
  notice: Notice | null;
  /** A machine that the operator owns: never bought or ended. Absent if a cloud sells it. */
  host?: OwnedHost;
};

export type Notice = {
  /** `preemption` ends the instance; `maintenance` interrupts it. */
  kind: "preemption" | "maintenance";
  /** Wall milliseconds, by the provider's clock; `null` = not announced. */
  atMs: number | null;
  message: string;
};

/** The provider proved that it accepted nothing. */
export const REFUSAL_CLASSES = [
  "bad_request",
  "capacity",
  "quota",
  "rate_limit",
  "auth",
  /** The account may not buy until its owner settles something with the cloud. */
  "billing",
  "stale_fence",
] as const;
export type RefusalClass = (typeof REFUSAL_CLASSES)[number];

export type CreateAnswer =
  | { kind: "ok"; instance: Instance }
  | { kind: "refused"; class: RefusalClass; message: string; retryAfterMs: Millis | null }
  /** Timeout, reset, 5xx without a code, invalid body: it may have been accepted. */
  | { kind: "ambiguous"; message: string };

export type TerminateAnswer =
  | { kind: "accepted" }
  /** Not proof of absence: confirm by listing (docs/reference/providers.md#termination). */
  | { kind: "not_found" }
  | { kind: "refused"; class: RefusalClass; message: string; retryAfterMs: Millis | null }
  | { kind: "ambiguous"; message: string };

export type RebootAnswer =
  | TerminateAnswer
  /** The provider has no such call: nothing was done. */
  | { kind: "unsupported" };

/** Nothing was learned. */
export type Failed = {
  kind: "failed";
  class: "auth" | "rate_limit" | "unavailable";
  message: string;
};

/** All instances of this fleet, or a failure; never a partial list. */
export type ListAnswer = { kind: "ok"; instances: Instance[] } | Failed;

/**
 * Machines of other fleets whose pool tag has one of our names, or why this kind of provider cannot
 * see them.
 */
export type StrangersAnswer =
  | { kind: "ok"; instances: Instance[] }
  | { kind: "unsupported"; message: string }
  | Failed;

/** The cloud has no such call. */
type Unsupported = { kind: "unsupported" };

/** A place with its present price (US dollars an hour) and capacity; `null` = unknown. */
export type Offered = Place & { pricePerHour: number | null; available: boolean | null };
export type OffersAnswer = { kind: "ok"; offers: Offered[] } | Unsupported | Failed;

/** Keys in OpenSSH's form; empty = the machine has not reported them yet. */
export type HostKeysAnswer = { kind: "ok"; hostKeys: string[] } | Unsupported | Failed;

/** A limit of the account, in the cloud's own unit; `used: null` = not reported. */
export type Quota = { name: string; region: string | null; limit: number; used: number | null };
export type QuotaAnswer = { kind: "ok"; quotas: Quota[] } | Unsupported | Failed;

/** One finding of a read-only check of credentials, permissions and names. */
export type Inspection = {
  /** `credentials`, `permission`, `region`, `instance type`, `image`, `ssh key`, … */
  check: string;
  outcome: "ok" | "warn" | "fail";
  message: string;
};

/** Part of each mutating call: the target refuses an older fence for the same node. */
export type Fence = { nodeId: string; fence: number; sessionId: string | null };

/**
 * Whose machines a provider lists: ids are unique in an account and region. `null` = not known, or
 * not limited to one.
 */
export type Reach = {
  type: ProviderType | null;
  account: string | null;
  region: string | null;
};

export type Provider = {
  readonly name: string;
  readonly type: ProviderType;
  readonly class: ProviderClass;
  /** Tag-only: how long an accepted purchase may stay invisible. Milliseconds. */
  readonly settleMs: number;
  /** Its machines come with an agent and its credential: none is set up over SSH. */
  readonly bringsAgent: boolean;
  /** If false, plans contain no reboot, and `reboot` answers `unsupported`. */
  readonly canReboot: boolean;
  /** As far as it is known now: an account may be learnt with the first list. */
  reach(): Reach;
  /** Price and capacity of each of these places, in their order. Reads only. */
  offers(places: readonly Place[]): Promise<OffersAnswer>;
  /** For the set-up over SSH, while the list has no keys. Reads only. */
  hostKeys(instanceId: InstanceId): Promise<HostKeysAnswer>;
  /** Reads only. */
  quota(places: readonly Place[]): Promise<QuotaAnswer>;
  /** What would prevent a purchase at these places, as far as reading or a dry run tells. */
  inspect(places: readonly PoolPlace[]): Promise<Inspection[]>;
  /** Why accepted machines do not come up, as a sentence for people; `null` = nothing known. */
  trouble(): string | null;
  /** `credential` is for the machine's agent; only providers that bring one use it. */
  create(request: CreateRequest, fence: Fence, credential: string | null): Promise<CreateAnswer>;
  terminate(instanceId: InstanceId, fence: Fence): Promise<TerminateAnswer>;
  /**
   * Restarts a machine, which keeps its disk and id. The agent's next boot id is the proof. A
   * repeat is refused by its fence, or reboots once more.
   */
  reboot(instanceId: InstanceId, fence: Fence): Promise<RebootAnswer>;
  /** Every instance that carries this fleet's ownership tag, all pages. */
  list(): Promise<ListAnswer>;
  /**
   * Every instance with the tag of another fleet and the name of one of these pools. Reads only; it
   * is asked before the first purchase of a pool, because the state may have been lost.
   */
  strangers(pools: readonly string[]): Promise<StrangersAnswer>;
  close(): Promise<void>;
};

export type Listing = { provider: string; startedAt: number; answer: ListAnswer };

/** Listings without an instance that make it absent (docs/reference/safety.md, I2). */
export const ABSENT_LISTINGS_MIN = 2;
