/**
 * Lambda Cloud. It supports neither client tokens nor unique names, so its class is tag-only. Its
 * list has no creation time, so a tag holds the time of the request. This process refuses an older
 * fence (`fence.ts`); a late request of another process is bounded by the settle time.
 */
import * as v from "valibot";
import { InstanceId } from "../../../schema/id.ts";
import type { Millis } from "../../../schema/millis.ts";
import type { Clock } from "../../core/clock.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Instance,
  InstanceState,
  ListAnswer,
  Provider,
  RebootAnswer,
  RefusalClass,
  StrangersAnswer,
  TerminateAnswer,
} from "../../core/provider.ts";
import { strangersIn } from "../../core/stranger.ts";
import { Bucket } from "../../core/turn/bucket.ts";
import { Fences } from "../call/fence.ts";
import { readsNothing } from "../call/reads-nothing.ts";
import { type Failed, LambdaApi } from "./api.ts";
import { Catalog, failedAnswer, TypeBody } from "./catalog.ts";

const ASKED_AT = "navarch-asked-at";
const FLEET = "navarch-fleet";
/** What Lambda takes as a tag (OpenAPI 1.10.0, RequestedTagEntry). */
const TAG_KEY = /^[a-z][a-z0-9-:]{0,54}$/;
const TAG_VALUE_MAX = 128;
const NAME_MAX = 64;
export type LambdaOptions = {
  name: string;
  key: string;
  endpoint: string;
  settleMs: number;
  /** Least time between two requests, and between two launches. */
  requestMs: number;
  launchMs: number;
  fleetId: string;
  clock: Clock;
};

const STATES = new Map<string, InstanceState>([
  ["booting", "provisioning"],
  ["active", "running"],
  ["unhealthy", "running"],
  ["terminating", "terminating"],
  ["terminated", "terminated"],
  ["preempted", "terminated"],
]);

const text = v.string();
const InstanceBody = v.object({
  id: InstanceId,
  name: v.nullish(text, null),
  ip: v.nullish(text, null),
  private_ip: v.nullish(text, null),
  status: text,
  region: v.object({ name: text }),
  instance_type: TypeBody,
  tags: v.nullish(v.array(v.object({ key: text, value: text })), null),
});
const Launched = v.object({ instance_ids: v.array(InstanceId) });
const Ended = v.object({ terminated_instances: v.array(v.object({ id: text })) });
const Restarted = v.object({ restarted_instances: v.array(v.object({ id: text })) });

export function openLambda(options: LambdaOptions): Provider {
  const { name, settleMs } = options;
  const lambda = new Lambda(options);
  return {
    name,
    type: "lambda",
    class: "tag-only",
    settleMs,
    bringsAgent: false,
    canReboot: true,
    // Ids are unique among all accounts, and no call names the key's account.
    reach: () => ({ type: "lambda", account: "lambda", region: null }),
    trouble: () => null,
    ...readsNothing,
    offers: (places) => lambda.catalog.offers(places),
    inspect: (places) => lambda.catalog.inspect(places),
    create: async (request, fence) => lambda.fences.check(fence) ?? (await lambda.create(request)),
    terminate: async (id, fence) => lambda.fences.check(fence) ?? (await lambda.terminate(id)),
    reboot: async (id, fence) => lambda.fences.check(fence) ?? (await lambda.reboot(id)),
    list: () => lambda.list(),
    strangers: (pools) => lambda.strangers(pools),
    close: () => Promise.resolve(),
  };
}

class Lambda {
  readonly catalog: Catalog;
  readonly fences = new Fences();
  readonly #options: LambdaOptions;
  readonly #api: LambdaApi;
  readonly #launches: Bucket;

  constructor(options: LambdaOptions) {
    this.#options = options;
    this.#api = new LambdaApi(options);
    this.catalog = new Catalog(this.#api);
    this.#launches = new Bucket({ perSecond: 1_000 / options.launchMs, burst: 1 });
  }

  async create(request: CreateRequest): Promise<CreateAnswer> {
    const { name, region, instanceType, market } = request;
    if (market !== "on-demand") {
      return refused("bad_request", `Lambda sells on-demand instances only, not ${market}`);
    }
    if (region === null) return refused("bad_request", "Lambda needs a region: set it on the pool");
    if (name.length > NAME_MAX) return refused("bad_request", `name ${name} is over 64 characters`);
    const key = await this.#sshKey(request);
    if (typeof key !== "string") return key;
    const askedAtMs = this.#options.clock.wallMs();
    const tags = { ...tagsOf(request), [ASKED_AT]: String(askedAtMs) };
    const body = {
      region_name: region,
      instance_type_name: instanceType,
      ssh_key_names: [key],
      name,
      tags: Object.entries(tags).map(([tag, value]) => ({ key: tag, value })),
    };
    const path = "/instance-operations/launch";
    const answer = await this.#api.call("POST", path, Launched, body, this.#launches);
    if (answer.kind === "failed") return answerCreate(answer);
    const [id] = answer.data.instance_ids;
    if (id === undefined) return { kind: "ambiguous", message: "launched without an instance id" };
    const instance: Instance = {
      id,
      name,
      token: null,
      state: "provisioning",
      tags,
      region,
      zone: null,
      instanceType,
      internalIp: null,
      externalIp: null,
      createdAtMs: askedAtMs,
      hostKeys: null,
      failure: null,
      notice: null,
      pricePerHour: this.catalog.prices.get(instanceType) ?? null,
    };
    return { kind: "ok", instance };
  }

  /** Lambda takes exactly one; if none is configured, the account's only key is used. */
  async #sshKey({ sshKeys }: CreateRequest): Promise<string | CreateAnswer> {
    const [key, ...more] = sshKeys;
    if (more.length > 0) return refused("bad_request", "Lambda takes one ssh_keys entry");
    if (key !== undefined) return key;
    const answer = await this.catalog.sshKeys();
    // Always a refusal, because nothing has been bought yet.
    if (answer.kind === "failed") {
      const { message, retryAfterMs } = answer;
      const { class: cls } = answer;
      const isAccount = cls === "auth" || cls === "billing";
      return refused(isAccount ? cls : "rate_limit", message, retryAfterMs);
    }
    const names = answer.data.map((one) => one.name);
    const [only, ...others] = names;
    if (only !== undefined && others.length === 0) return only;
    const found = names.length === 0 ? "the account has none" : `one of ${names.join(", ")}`;
    return refused("bad_request", `Lambda needs the name of an SSH key: set ssh_keys (${found})`);
  }

  async terminate(id: InstanceId): Promise<TerminateAnswer> {
    const body = { instance_ids: [id] };
    const answer = await this.#api.call("POST", "/instance-operations/terminate", Ended, body);
    if (answer.kind === "failed") return answerOrder(answer);
    const isNamed = answer.data.terminated_instances.some((one) => one.id === id);
    return isNamed ? { kind: "accepted" } : unnamed(id);
  }

  async reboot(id: InstanceId): Promise<RebootAnswer> {
    const body = { instance_ids: [id] };
    const answer = await this.#api.call("POST", "/instance-operations/restart", Restarted, body);
    if (answer.kind === "failed") return answerOrder(answer);
    const isNamed = answer.data.restarted_instances.some((one) => one.id === id);
    return isNamed ? { kind: "accepted" } : unnamed(id);
  }

  async list(): Promise<ListAnswer> {
    const answer = await this.#api.call("GET", "/instances", v.array(InstanceBody));
    if (answer.kind === "failed") return failedAnswer(answer);
    const { fleetId } = this.#options;
    const own = answer.data.map(instanceOf).filter(({ tags }) => tags[FLEET] === fleetId);
    if (new Set(own.map(({ id }) => id)).size !== own.length) {
      return { kind: "failed", class: "unavailable", message: "the list names an instance twice" };
    }
    return { kind: "ok", instances: own };
  }

  async strangers(pools: readonly string[]): Promise<StrangersAnswer> {
    const answer = await this.#api.call("GET", "/instances", v.array(InstanceBody));
    if (answer.kind === "failed") return failedAnswer(answer);
    const { fleetId } = this.#options;
    return { kind: "ok", instances: strangersIn(answer.data.map(instanceOf), fleetId, pools) };
  }
}

/** Omits pool labels that Lambda does not accept, because nothing is identified by them. */
function tagsOf({ tags }: CreateRequest): Record<string, string> {
  const fits = ([key, value]: [string, string]) => {
    return TAG_KEY.test(key) && value.length <= TAG_VALUE_MAX;
  };
  return Object.fromEntries(Object.entries(tags).filter(fits));
}

function instanceOf(body: v.InferOutput<typeof InstanceBody>): Instance {
  const tags = Object.fromEntries((body.tags ?? []).map(({ key, value }) => [key, value]));
  const askedAtMs = Number(tags[ASKED_AT] ?? Number.NaN);
  return {
    id: body.id,
    name: body.name ?? "",
    token: null,
    // An unknown state never counts as terminated.
    state: STATES.get(body.status) ?? "running",
    tags,
    region: body.region.name,
    zone: null,
    instanceType: body.instance_type.name,
    internalIp: body.private_ip,
    externalIp: body.ip,
    // Unknown counts as old: such an instance may have served.
    hostKeys: null,
    failure: null,
    notice: null,
    createdAtMs: Number.isSafeInteger(askedAtMs) && askedAtMs > 0 ? askedAtMs : 0,
    pricePerHour: body.instance_type.price_cents_per_hour / 100,
  };
}

function answerCreate({ class: cls, message, retryAfterMs }: Failed): CreateAnswer {
  switch (cls) {
    case "unknown":
      return { kind: "ambiguous", message };
    case "conflict":
      return refused("rate_limit", message, retryAfterMs);
    case "not_found":
      return refused("bad_request", message);
    default:
      return refused(cls, message, retryAfterMs);
  }
}

function answerOrder({ class: cls, message, retryAfterMs }: Failed): TerminateAnswer {
  switch (cls) {
    case "unknown":
      return { kind: "ambiguous", message };
    case "not_found":
      return { kind: "not_found" };
    case "conflict":
      return refused("rate_limit", message, retryAfterMs);
    default:
      return refused(cls, message, retryAfterMs);
  }
}

function refused(cls: RefusalClass, message: string, retryAfterMs: Millis | null = null) {
  return { kind: "refused" as const, class: cls, message, retryAfterMs };
}

function unnamed(id: InstanceId): TerminateAnswer {
  return { kind: "ambiguous", message: `the reply does not name instance ${id}` };
}
