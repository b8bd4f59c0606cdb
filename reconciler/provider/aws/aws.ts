/**
 * Amazon EC2 in one region. RunInstances takes a client token, so the class is token: a repeated
 * request finds its instance. EC2 knows no fence: this process refuses an older one (`fence.ts`); a
 * late request of another process can still land, and its instance is listed by its token.
 */
import type { Millis } from "../../../schema/millis.ts";
import type { InstanceId } from "../../../schema/id.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Instance,
  ListAnswer,
  Notice,
  Provider,
  RefusalClass,
  StrangersAnswer,
  TerminateAnswer,
} from "../../core/provider.ts";
import { strangersIn } from "../../core/stranger.ts";
import { Fences } from "../call/fence.ts";
import { Ec2Api, type Ec2ApiOptions, type Got } from "./api.ts";
import { type CredentialOptions, Credentials } from "./credential.ts";
import type { Failed } from "./failure.ts";
import { EVENT_CODES, instanceOf, noticesOf } from "./instance.ts";
import type { LaunchFacts, Launching, LaunchSettings } from "./launch.ts";
import { launchOf, launchParams } from "./launch.ts";
import { readQuotas } from "./quota.ts";
import {
  failedOf,
  inspectPlaces,
  type Planned,
  readHostKeys,
  readOffers,
  spotPrices,
} from "./read.ts";
import { find, itemsAt, textAt, type Xml } from "./xml.ts";

const FLEET = "navarch-fleet";
/** Planned events are announced days ahead. */
const NOTICES_MS = 60_000;
const SPOT_PRICES_MS = 3_600_000;

export type AwsOptions = Omit<Ec2ApiOptions, "credentials"> & {
  credentials: Omit<CredentialOptions, "clock">;
  name: string;
  fleetId: string;
  settleMs: number;
  /** Of Service Quotas. */
  quotaEndpoint: string;
} & Launching;

export function openAws(options: AwsOptions): Provider {
  const aws = new Aws(options);
  const { api, fences } = aws;
  return {
    name: options.name,
    type: "aws",
    class: "token",
    settleMs: options.settleMs,
    bringsAgent: false,
    canReboot: true,
    reach: () => ({ type: "aws", account: aws.account, region: options.region }),
    trouble: () => null,
    create: async (request, fence) => fences.check(fence) ?? (await aws.create(request)),
    terminate: async (id, fence) =>
      fences.check(fence) ?? (await aws.order("TerminateInstances", id)),
    reboot: async (id, fence) => fences.check(fence) ?? (await aws.order("RebootInstances", id)),
    list: () => aws.list(),
    strangers: (pools) => aws.strangers(pools),
    offers: (places) => readOffers(api, options, places),
    hostKeys: (id) => readHostKeys(api, id),
    quota: (places) => readQuotas(api, options, places),
    inspect: (places) => inspectPlaces(api, options, places, (request) => aws.params(request)),
    close: () => Promise.resolve(),
  };
}

type Described = Instance & { isSpot: boolean };

class Aws {
  readonly fences = new Fences();
  readonly api: Ec2Api;
  /** Learnt with the first list; `null` until then. */
  account: string | null = null;
  #asksAccount = true;
  readonly #options: AwsOptions;
  /** Facts that never change: an image's root device, a reservation's kind. */
  readonly #known = new Map<string, string>();
  /** When a token that no instance shows was first refused as used: monotonic milliseconds. */
  readonly #unshown = new Map<string, number>();
  #notices = new Map<string, Notice>();
  #noticedMono = Number.NEGATIVE_INFINITY;
  /** By type and zone. */
  #spot = new Map<string, number>();
  #pricedTypes = new Set<string>();
  #pricedMono = Number.NEGATIVE_INFINITY;

  constructor(options: AwsOptions) {
    this.#options = options;
    const credentials = new Credentials({ ...options.credentials, clock: options.clock });
    this.api = new Ec2Api({ ...options, credentials });
  }

  async create(request: CreateRequest): Promise<CreateAnswer> {
    const params = await this.params(request);
    if ("kind" in params) return params;
    const answer = await this.api.call("RunInstances", params.params, "launch");
    if (answer.kind === "failed") return this.#refuse(request, answer);
    const [item] = itemsAt(answer.data, "instancesSet");
    const made = item === undefined ? null : instanceOf(item, this.#options.region);
    if (made === null) {
      return { kind: "ambiguous", message: "RunInstances: accepted without an instance id" };
    }
    return made.state === "terminated" ? spent(request, made.id) : { kind: "ok", instance: made };
  }

  /** A refusal, where it is one, because nothing has been bought yet. */
  async params(request: CreateRequest): Promise<Planned> {
    const { name, region } = this.#options;
    if (request.region !== null && request.region !== region) {
      const remedy = `define another aws provider with region: ${request.region}`;
      return refused("bad_request", `provider ${name} buys in ${region} only: ${remedy}`);
    }
    const launch = launchOf(request, this.#options);
    if (typeof launch === "string") return refused("bad_request", launch);
    const facts = await this.#facts(request, launch);
    if ("kind" in facts) {
      // The question failed, which says nothing about the purchase.
      const { class: cls, message, retryAfterMs } = facts;
      const isOurs = cls === "auth" || cls === "bad_request";
      return refused(isOurs ? cls : "rate_limit", message, retryAfterMs);
    }
    const params = launchParams(request, launch, facts);
    return typeof params === "string" ? refused("bad_request", params) : { params };
  }

  async #facts(
    { market, reservation }: CreateRequest,
    { image, diskGb }: LaunchSettings,
  ): Promise<LaunchFacts | Failed> {
    const facts: LaunchFacts = { rootDevice: null, isCapacityBlock: false };
    if (diskGb !== null && image !== null) {
      const device = await this.#ask("DescribeImages", { ImageId: [image] }, "imagesSet");
      if (typeof device !== "string") return device;
      facts.rootDevice = device;
    }
    if (market === "reserved" && reservation !== null) {
      const asked = { CapacityReservationId: [reservation] };
      const kind = await this.#ask("DescribeCapacityReservations", asked, "capacityReservationSet");
      if (typeof kind !== "string") return kind;
      facts.isCapacityBlock = kind === "capacity-block";
    }
    return facts;
  }

  async #ask(action: string, params: Record<string, string[]>, list: string) {
    const key = `${action} ${JSON.stringify(params)}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const answer = await this.api.call(action, params);
    if (answer.kind === "failed") return answer;
    const [item] = itemsAt(answer.data, list);
    const fact = textAt(item, "rootDeviceName") ?? textAt(item, "reservationType") ?? "default";
    if (item !== undefined) this.#known.set(key, fact);
    return fact;
  }

  async #refuse(request: CreateRequest, answer: Failed): Promise<CreateAnswer> {
    const { message, retryAfterMs } = answer;
    switch (answer.class) {
      case "unknown":
      case "dry_run":
        return { kind: "ambiguous", message };
      case "mismatch":
        return this.#mismatched(request, message);
      case "spent":
        return spent(request, message);
      case "not_found":
        return refused("bad_request", message);
      case "conflict":
      case "unsent":
        return refused("rate_limit", message, retryAfterMs);
      default:
        return refused(answer.class, message, retryAfterMs);
    }
  }

  /**
   * The token has been used: the provider's settings have changed since, and the instance is the
   * one that was asked for, unless it differs in what the request itself says.
   */
  async #mismatched(request: CreateRequest, message: string): Promise<CreateAnswer> {
    const { token, name, instanceType, zone } = request;
    const found = await this.#describe([{ Name: "client-token", Value: [token] }]);
    const made = found.kind === "ok" ? found.data.find((one) => one.token === token) : undefined;
    if (found.kind === "ok" && made === undefined) return this.#unfound(request, message);
    // Not to be asked: the list shows it later.
    if (made === undefined) return { kind: "ambiguous", message };
    this.#unshown.delete(token);
    const { isSpot: _, ...instance } = made;
    if (made.state === "terminated") return spent(request, made.id);
    const isAsked =
      made.name === name &&
      made.instanceType === instanceType &&
      (zone === null || made.zone === zone);
    if (isAsked) return { kind: "ok", instance };
    const conflict = `token conflict: ${token} made ${made.id} (${made.instanceType})`;
    return refused("bad_request", conflict);
  }

  /** Not described yet, or ended so long ago that it is not described any more. */
  #unfound(request: CreateRequest, message: string): CreateAnswer {
    const { clock, settleMs } = this.#options;
    const sinceMono = this.#unshown.get(request.token) ?? clock.monoMs();
    this.#unshown.set(request.token, sinceMono);
    if (clock.monoMs() - sinceMono < settleMs) return { kind: "ambiguous", message };
    this.#unshown.delete(request.token);
    return spent(request, "no longer described");
  }

  async order(action: "TerminateInstances" | "RebootInstances", id: InstanceId) {
    const answer = await this.api.call(action, { InstanceId: [id] }, "end");
    if (answer.kind === "failed") return answerOrder(answer);
    if (action === "RebootInstances") {
      // The operation has no output; some answers hold `return`, which botocore's model omits.
      return textAt(answer.data, "return") === "false"
        ? { kind: "ambiguous" as const, message: `${action}: not confirmed` }
        : { kind: "accepted" as const };
    }
    const items = itemsAt(answer.data, "instancesSet");
    return items.some((item) => textAt(item, "instanceId") === id)
      ? { kind: "accepted" as const }
      : { kind: "ambiguous" as const, message: `the reply does not name instance ${id}` };
  }

  async list(): Promise<ListAnswer> {
    const { fleetId } = this.#options;
    const answer = await this.#describe([{ Name: `tag:${FLEET}`, Value: [fleetId] }]);
    if (answer.kind === "failed") return failedOf(answer);
    const own = answer.data.filter(({ tags }) => tags[FLEET] === fleetId);
    if (this.account === null && this.#asksAccount) await this.#askAccount();
    const spot = own.filter((one) => one.isSpot).map((one) => one.instanceType);
    if (spot.length > 0) await this.#learnSpotPrices([...new Set(spot)]);
    if (new Set(own.map(({ id }) => id)).size !== own.length) {
      return { kind: "failed", class: "unavailable", message: "the list names an instance twice" };
    }
    if (own.some(({ state }) => state === "running")) await this.#learnNotices();
    const instances = own.map(({ isSpot, ...one }) => ({
      ...one,
      pricePerHour: isSpot ? (this.#spot.get(`${one.instanceType} ${one.zone}`) ?? null) : null,
      notice: one.notice ?? this.#notices.get(one.id) ?? null,
    }));
    return { kind: "ok", instances };
  }

  async strangers(pools: readonly string[]): Promise<StrangersAnswer> {
    const { fleetId } = this.#options;
    const answer = await this.#describe([
      { Name: "tag-key", Value: [FLEET] },
      { Name: "tag:navarch-pool", Value: [...pools] },
    ]);
    if (answer.kind === "failed") return failedOf(answer);
    const found = strangersIn(answer.data, fleetId, pools);
    return { kind: "ok", instances: found.map(({ isSpot: _, ...one }) => one) };
  }

  async #describe(Filter: { Name: string; Value: string[] }[]): Promise<Got<Described[]>> {
    const { region } = this.#options;
    const answer = await this.api.pages("DescribeInstances", { Filter }, "reservationSet");
    if (answer.kind === "failed") return answer;
    const all: Described[] = [];
    for (const reservation of answer.data) {
      this.#learnAccount(reservation);
      const items = find(reservation, "instancesSet")?.children ?? [];
      for (const item of items) {
        const instance = instanceOf(item, region);
        if (instance === null) return nameless();
        all.push({ ...instance, isSpot: textAt(item, "instanceLifecycle") === "spot" });
      }
    }
    return { kind: "ok", data: all };
  }

  #learnAccount(owned: Xml | undefined): void {
    const owner = textAt(owned, "ownerId");
    if (owner !== null) this.account ??= `aws ${owner}`;
  }

  /** Every account has a security group in each region: the list alone was empty. */
  async #askAccount(): Promise<void> {
    const answer = await this.api.call("DescribeSecurityGroups", { MaxResults: 5 });
    if (answer.kind === "ok") this.#learnAccount(itemsAt(answer.data, "securityGroupInfo")[0]);
    // Only what passes by itself is asked again.
    this.#asksAccount = answer.kind === "failed" && answer.class === "rate_limit";
  }

  /** As the notices. */
  async #learnSpotPrices(types: string[]): Promise<void> {
    const { clock } = this.#options;
    const isFresh = clock.monoMs() - this.#pricedMono < SPOT_PRICES_MS;
    if (isFresh && types.every((type) => this.#pricedTypes.has(type))) return;
    const answer = await spotPrices(this.api, types, clock.wallMs());
    if (answer.kind === "failed") return;
    this.#pricedMono = clock.monoMs();
    this.#pricedTypes = new Set(types);
    const rows = answer.data.map(([type, zone, dollars]) => [`${type} ${zone}`, dollars] as const);
    this.#spot = new Map(rows);
  }

  /** What cannot be read stays as it was; the list does not fail. */
  async #learnNotices(): Promise<void> {
    const now = this.#options.clock.monoMs();
    if (now - this.#noticedMono < NOTICES_MS) return;
    this.#noticedMono = now;
    const Filter = [{ Name: "event.code", Value: [...EVENT_CODES] }];
    const params = { Filter, IncludeAllInstances: true };
    const answer = await this.api.pages("DescribeInstanceStatus", params, "instanceStatusSet");
    if (answer.kind === "ok") this.#notices = noticesOf(answer.data);
  }
}

function answerOrder({ class: cls, message, retryAfterMs }: Failed): TerminateAnswer {
  switch (cls) {
    case "unknown":
    case "dry_run":
    case "mismatch":
    case "spent":
      return { kind: "ambiguous", message };
    case "not_found":
      return { kind: "not_found" };
    case "conflict":
    case "unsent":
      return refused("rate_limit", message, retryAfterMs);
    default:
      return refused(cls, message, retryAfterMs);
  }
}

function refused(cls: RefusalClass, message: string, retryAfterMs: Millis | null = null) {
  return { kind: "refused" as const, class: cls, message, retryAfterMs };
}

function spent({ token }: CreateRequest, what: string): CreateAnswer {
  return refused("bad_request", `token spent: ${token}: its instance is terminated (${what})`);
}

function nameless(): Failed {
  const message = "DescribeInstances: an instance without an id";
  return { kind: "failed", class: "unknown", code: null, message, retryAfterMs: null };
}
