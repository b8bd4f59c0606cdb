/**
 * Machines that the operator owns, from an inventory (docs/provider-ssh.md). A purchase claims a
 * free machine and a termination releases it; the machine itself is never ended or rebooted here.
 *
 * The claims are the list of instances: they are durable, and the leader's fence covers them. A
 * machine that leaves the inventory keeps its claim, and `trouble` says so.
 */
import { waitMs } from "../../../schema/millis.ts";
import { createHash } from "node:crypto";
import { parse } from "valibot";
import type { Claim } from "../../../schema/claim.ts";
import { InstanceId, NodeId, PoolName } from "../../../schema/id.ts";
import type { ProviderType } from "../../../schema/config.ts";
import type { Clock } from "../../core/clock.ts";
import { type InventoryAnswer, type InventoryHost, placeOfHost } from "../../core/inventory.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Inspection,
  Instance,
  Place,
  Provider,
} from "../../core/provider.ts";
import { REACHES_ANY } from "../../core/reach.ts";
import type { ClaimTable } from "../../core/store-table.ts";
import { Fences } from "../call/fence.ts";

const FLEET_TAG = "navarch-fleet";
/** How long a released claim is listed as terminated. */
const SHOWN_MS = 3_600_000;
/** A machine may be released, and the inventory repaired, at any moment. */
const RETRY_MS = waitMs(60_000);

export type SshOptions = {
  name: string;
  type: ProviderType;
  /** The inventory's name for people. */
  source: string;
  fleetId: string;
  claims: ClaimTable;
  clock: Pick<Clock, "wallMs">;
  /** The machines as they are listed now. */
  inventory(): Promise<InventoryAnswer>;
  /** Tries to reach a machine, without a login. */
  reach(host: InventoryHost): Promise<Inspection>;
};

export function openSsh(options: SshOptions): Provider {
  const { name, type, claims, fleetId, clock } = options;
  const fences = new Fences();
  const seen = new Inventory(options);
  const own = async (): Promise<Claim[]> =>
    (await claims.read()).filter(({ provider }) => provider === name);
  return {
    name,
    type,
    class: "name",
    settleMs: 0,
    bringsAgent: false,
    // Its agent reboots it, by a signed order (`core/fold/reboot-order.ts`).
    canReboot: false,
    reach: () => ({ ...REACHES_ANY, type }),
    trouble: () => seen.trouble(),
    async create(request, fence) {
      const stale = fences.check(fence);
      if (stale !== null) return stale;
      return attempt(async () => create(request, options, await seen.look(), seen.problem()));
    },
    async terminate(id, fence) {
      const stale = fences.check(fence);
      if (stale !== null) return stale;
      return attempt(async () => {
        const isKnown = (await own()).some(({ instance }) => instance === id);
        if (!isKnown) return { kind: "not_found" } as const;
        await claims.release(id, clock.wallMs());
        return { kind: "accepted" } as const;
      });
    },
    reboot: () => Promise.resolve({ kind: "unsupported" }),
    async list() {
      const hosts = await seen.look();
      const read = await attempt(own);
      if ("kind" in read) return { kind: "failed", class: "unavailable", message: read.message };
      const all = read.filter(({ tags }) => tags[FLEET_TAG] === fleetId);
      seen.compare(all.filter(isOpen));
      const since = clock.wallMs() - SHOWN_MS;
      const shown = all.filter(({ releasedAt }) => releasedAt === null || releasedAt > since);
      return { kind: "ok", instances: shown.map((claim) => instanceOf(claim, hosts)) };
    },
    // Owned machines are not bought twice.
    strangers: () => Promise.resolve({ kind: "ok", instances: [] }),
    ...readingsOf(options, seen, own),
    close: () => Promise.resolve(),
  };
}

/** The calls that only read. */
function readingsOf(
  { claims, source, reach }: SshOptions,
  seen: Inventory,
  own: () => Promise<Claim[]>,
): Pick<Provider, "offers" | "hostKeys" | "quota" | "inspect"> {
  return {
    async offers(places) {
      const hosts = freeIn(await seen.look(), await claims.read());
      return {
        kind: "ok",
        offers: places.map((place) => {
          const available = hosts.some((host) => whyUnfit(host, place) === null);
          return { ...place, pricePerHour: 0, available };
        }),
      };
    },
    async hostKeys(id) {
      const claim = (await own()).find(({ instance }) => instance === id);
      const host = (await seen.look()).find((one) => one.name === claim?.host);
      return { kind: "ok", hostKeys: [...(host?.hostKeys ?? [])] };
    },
    async quota() {
      const limit = (await seen.look()).length;
      const used = (await own()).filter(isOpen).length;
      return { kind: "ok", quotas: [{ name: `hosts of ${source}`, region: null, limit, used }] };
    },
    async inspect() {
      const hosts = await seen.look();
      const why = seen.problem();
      if (why !== null) return [{ check: "inventory", outcome: "fail", message: why }];
      const message = `${source}: ${hosts.length} host${hosts.length === 1 ? "" : "s"}`;
      const found = await Promise.all(hosts.map((host) => reach(host)));
      return [{ check: "inventory", outcome: "ok", message }, ...found];
    },
  };
}

const isOpen = ({ releasedAt }: Claim): boolean => releasedAt === null;

/** The last inventory that could be read, and what is wrong with it or with the claims. */
class Inventory {
  readonly #options: Pick<SshOptions, "inventory" | "source">;
  #hosts: readonly InventoryHost[] = [];
  #problem: string | null = null;
  #lost: readonly Claim[] = [];

  constructor(options: Pick<SshOptions, "inventory" | "source">) {
    this.#options = options;
  }

  /** A file that cannot be read now keeps the machines of before. */
  async look(): Promise<readonly InventoryHost[]> {
    const answer = await this.#options.inventory();
    this.#problem = answer.ok ? null : answer.problem;
    if (answer.ok) this.#hosts = answer.hosts;
    return this.#hosts;
  }

  problem(): string | null {
    return this.#problem;
  }

  compare(open: readonly Claim[]): void {
    const names = new Set(this.#hosts.map(({ name }) => name));
    this.#lost = this.#problem === null ? open.filter(({ host }) => !names.has(host)) : [];
  }

  trouble(): string | null {
    if (this.#problem !== null) return `the inventory is not used: ${this.#problem}`;
    const [first] = this.#lost;
    if (first === undefined) return null;
    const { host, node } = first;
    const more = this.#lost.length === 1 ? "" : ` (and ${this.#lost.length - 1} more)`;
    const what = `host ${host} of node ${node} is not in ${this.#options.source} any more${more}`;
    return `${what}: add it again, or release it with \`navarch terminate ${node}\``;
  }
}

async function create(
  request: CreateRequest,
  options: SshOptions,
  hosts: readonly InventoryHost[],
  problem: string | null,
): Promise<CreateAnswer> {
  const { claims, source, name } = options;
  // Each further round follows a claim by another caller, so there are at most as many as hosts.
  for (let round = 0; round <= hosts.length; round++) {
    const all = await claims.read();
    const known = all.find((claim) => claim.name === request.name);
    if (known !== undefined) return answerKnown(known, request, name, hosts);
    const other = all.find((claim) => isOpen(claim) && claim.node === request.nodeId);
    if (other !== undefined) {
      return refuse("bad_request", `node ${other.node} has host ${other.host} already`);
    }
    if (problem !== null) return refuse("bad_request", `the inventory is not used: ${problem}`);
    const free = freeIn(hosts, all);
    const host = free.find((one) => whyUnfit(one, request) === null);
    if (host === undefined) return refuse("capacity", whyNone(source, hosts, free, request));
    const claim = claimOf(request, host, options);
    if (await claims.claim(claim)) return { kind: "ok", instance: instanceOf(claim, hosts) };
  }
  return refuse("capacity", `every host of ${source} was claimed in the meantime`);
}

/** A repeated request gets its claim; a name that was used otherwise gets nothing. */
function answerKnown(
  claim: Claim,
  { tags, name }: CreateRequest,
  provider: string,
  hosts: readonly InventoryHost[],
): CreateAnswer {
  const isSame = (key: string): boolean => claim.tags[key] === tags[key];
  if (claim.provider !== provider || !isSame(FLEET_TAG) || !isSame("navarch-node")) {
    return refuse("bad_request", `name exists: ${name} is the claim of node ${claim.node}`);
  }
  if (isOpen(claim)) return { kind: "ok", instance: instanceOf(claim, hosts) };
  return refuse("bad_request", `the claim ${name} of host ${claim.host} was released`);
}

const refuse = (cls: "bad_request" | "capacity", message: string): CreateAnswer => {
  return { kind: "refused", class: cls, message, retryAfterMs: RETRY_MS };
};

type Ambiguous = { kind: "ambiguous"; message: string };

/** A write that failed may have happened. */
async function attempt<T>(work: () => Promise<T>): Promise<T | Ambiguous> {
  try {
    return await work();
  } catch (error) {
    return { kind: "ambiguous", message: error instanceof Error ? error.message : String(error) };
  }
}

/** Unclaimed machines, the longest unused first: one that cannot be set up comes last. */
function freeIn(hosts: readonly InventoryHost[], all: readonly Claim[]): InventoryHost[] {
  const open = all.filter(isOpen);
  const taken = new Set(open.map(({ host }) => host));
  const places = new Set(open.map(placeOfHost));
  const lastAt = new Map<string, number>();
  for (const { host, releasedAt } of all) {
    lastAt.set(host, Math.max(lastAt.get(host) ?? 0, releasedAt ?? 0));
  }
  return hosts
    .filter((host) => !taken.has(host.name) && !places.has(placeOfHost(host)))
    .toSorted((a, b) => (lastAt.get(a.name) ?? 0) - (lastAt.get(b.name) ?? 0));
}

/** Why a machine is not what is asked for; `null` if it is. */
function whyUnfit(host: InventoryHost, place: Place): string | null {
  const { instanceType: type, region, zone } = place;
  if (host.instanceType !== null && type !== "" && host.instanceType !== type) {
    return `is of type ${host.instanceType}`;
  }
  if (region !== null && host.region !== region) return `is in region ${host.region ?? "none"}`;
  return zone !== null && host.zone !== zone ? `is in zone ${host.zone ?? "none"}` : null;
}

function whyNone(
  source: string,
  hosts: readonly InventoryHost[],
  free: readonly InventoryHost[],
  place: Place,
): string {
  const [first] = free;
  if (first === undefined) return `all ${hosts.length} hosts of ${source} are claimed`;
  const unfit = `${first.name} ${whyUnfit(first, place)}`;
  return `none of the ${free.length} free hosts of ${source} fits the pool (${unfit})`;
}

function claimOf(request: CreateRequest, host: InventoryHost, options: SshOptions): Claim {
  const { name, nodeId, tags, instanceType, region, zone } = request;
  const digest = createHash("sha256").update(`${options.fleetId}\n${name}`).digest("hex");
  return {
    provider: parse(PoolName, options.name),
    host: host.name,
    address: host.address,
    port: host.port,
    name,
    instance: parse(InstanceId, `${host.name}-${digest.slice(0, 8)}`),
    node: parse(NodeId, nodeId),
    tags,
    instanceType: host.instanceType ?? instanceType,
    region: host.region ?? region,
    zone: host.zone ?? zone,
    at: options.clock.wallMs(),
    releasedAt: null,
  };
}

/** A machine that left the inventory is shown as it was claimed. */
function instanceOf(claim: Claim, hosts: readonly InventoryHost[]): Instance {
  const { instance: id, name, tags, at: createdAtMs } = claim;
  const host = hosts.find((one) => one.name === claim.host);
  const { rack = null, port = claim.port, user = null, keyPath = null } = host ?? {};
  return {
    id,
    name,
    token: null,
    state: isOpen(claim) ? "running" : "terminated",
    tags,
    region: host?.region ?? claim.region,
    zone: host?.zone ?? claim.zone,
    instanceType: host?.instanceType ?? claim.instanceType,
    internalIp: null,
    externalIp: host?.address ?? claim.address,
    createdAtMs,
    pricePerHour: 0,
    hostKeys: host === undefined || host.hostKeys.length === 0 ? null : host.hostKeys,
    failure: null,
    notice: null,
    host: { name: claim.host, rack, port, user, keyPath },
  };
}
