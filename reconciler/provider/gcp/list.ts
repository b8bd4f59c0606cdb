/**
 * Lists the fleet's instances in all zones, complete or not at all, and adds purchases that were
 * accepted but that the API does not list: still being made, or failed with a reason
 * (docs/reference/gce.md#accepted-is-not-created).
 *
 * Adapter: network, through ./api.ts.
 */
import * as v from "valibot";
import type { InstanceId } from "../../../schema/id.ts";
import type { Clock } from "../../core/clock.ts";
import type { Instance, ListAnswer, StrangersAnswer } from "../../core/provider.ts";
import { strangersIn } from "../../core/stranger.ts";
import { type Failed, failedOf, type GceApi, type Got } from "./api.ts";
import { endedClass, failureOf, Operation } from "./error.ts";
import { FLEET, InstanceBody, instanceOf } from "./instance.ts";
import { idOf, isOfFleet, labelOf, lastOf, partsOf, regionOf } from "./name.ts";
import type { Pending, Pendings } from "./pending.ts";
import { parseInstant } from "../../../schema/instant.ts";

const PAGE = 500;
/** 100 000 instances. */
const PAGES_MAX = 200;
/** Operations of the fleet are among the newest of the project. */
const OPERATION_PAGES_MAX = 3;
/** Operations that one listing looks up. */
const LOOKS_MAX = 50;
/** Older operations belong to purchases that were judged long ago. */
const OPERATION_AGE_MS = 3_600_000;

const Warning = v.nullish(v.object({ code: v.nullish(v.string(), "") }), null);
const next = v.nullish(v.string(), "");
const page = <T extends v.GenericSchema>(scope: T) =>
  v.object({
    items: v.nullish(v.record(v.string(), scope), {}),
    nextPageToken: next,
    unreachables: v.nullish(v.array(v.string()), []),
    warning: Warning,
  });
const Instances = page(
  v.object({ instances: v.nullish(v.array(InstanceBody), []), warning: Warning }),
);
const Operations = page(v.object({ operations: v.nullish(v.array(Operation), []) }));

type ListingOptions = { fleetId: string; clock: Clock };

export class Listing {
  readonly #options: ListingOptions;
  readonly #api: GceApi;
  readonly #pendings: Pendings;
  /** Own instances that were starting at the last listing; `null` = none was made. */
  #starting: Set<InstanceId> | null = null;
  /** Instances that this process ended: that they stop is no news. */
  readonly #ended = new Set<InstanceId>();

  constructor(options: ListingOptions, api: GceApi, pendings: Pendings) {
    this.#options = options;
    this.#api = api;
    this.#pendings = pendings;
  }

  ended(id: InstanceId): void {
    this.#ended.add(id);
  }

  async list(): Promise<ListAnswer> {
    const { fleetId } = this.#options;
    const found = await this.#instances(`labels.${FLEET}=${labelOf(fleetId)}`);
    if (found.kind === "failed") return failedOf(found);
    const all = found.data.map(instanceOf).filter(({ tags }) => tags[FLEET] === fleetId);
    const own = all.map((one) => (this.#ended.has(one.id) ? { ...one, notice: null } : one));
    const ids = new Set(own.map(({ id }) => id));
    for (const id of this.#ended) if (!ids.has(id)) this.#ended.delete(id);
    if (ids.size !== own.length) {
      return { kind: "failed", class: "unavailable", message: "the list names an instance twice" };
    }
    await this.#findLost(ids);
    const starting = own.filter(({ state }) => state === "provisioning");
    this.#starting = new Set(starting.map(({ id }) => id));
    return { kind: "ok", instances: [...own, ...(await this.#unlisted(own))] };
  }

  async strangers(pools: readonly string[]): Promise<StrangersAnswer> {
    const found = await this.#instances(`labels.${FLEET}:*`);
    if (found.kind === "failed") return failedOf(found);
    const { fleetId } = this.#options;
    return { kind: "ok", instances: strangersIn(found.data.map(instanceOf), fleetId, pools) };
  }

  async #instances(filter: string): Promise<Got<InstanceBody[]>> {
    const all: InstanceBody[] = [];
    let pageToken = "";
    for (let pages = 0; pages < PAGES_MAX; pages += 1) {
      const more = pageToken === "" ? {} : { pageToken };
      const query = { filter, maxResults: String(PAGE), ...more };
      const path = "/aggregated/instances";
      const answer = await this.#api.call({ method: "GET", path, query, schema: Instances });
      if (answer.kind === "failed") return answer;
      const { items, unreachables, warning, nextPageToken } = answer.data;
      const missing = [...unreachables];
      for (const [scope, one] of Object.entries(items)) {
        if (isIncomplete(one.warning)) missing.push(scope);
        all.push(...one.instances);
      }
      if (missing.length > 0 || isIncomplete(warning)) {
        return incomplete(`the list lacks ${missing.join(", ") || "some zones"}`);
      }
      if (nextPageToken === "") return { kind: "ok", data: all };
      pageToken = nextPageToken;
    }
    return incomplete(`the list has more than ${PAGES_MAX} pages`);
  }

  /**
   * At the first listing of this process, and when an instance that was starting is gone: another
   * process may have bought it. A failure loses only the reason.
   */
  async #findLost(listed: ReadonlySet<InstanceId>): Promise<void> {
    const before = this.#starting;
    const isGone = (id: InstanceId) => !listed.has(id) && !this.#pendings.has(id);
    if (before !== null && ![...before].some(isGone)) return;
    const { fleetId, clock } = this.#options;
    let pageToken = "";
    for (let pages = 0; pages < OPERATION_PAGES_MAX; pages += 1) {
      const query = {
        filter: 'operationType = "insert"',
        orderBy: "creationTimestamp desc",
        maxResults: String(PAGE),
        ...(pageToken === "" ? {} : { pageToken }),
      };
      const path = "/aggregated/operations";
      const answer = await this.#api.call({ method: "GET", path, query, schema: Operations });
      if (answer.kind === "failed") return;
      for (const operation of Object.values(answer.data.items).flatMap((one) => one.operations)) {
        const ageMs = clock.wallMs() - parseInstant(operation.insertTime);
        if (ageMs < OPERATION_AGE_MS && isOfFleet(operation.clientOperationId, fleetId)) {
          this.#remember(operation, listed);
        }
      }
      pageToken = answer.data.nextPageToken;
      if (pageToken === "") return;
    }
  }

  #remember(operation: Operation, listed: ReadonlySet<InstanceId>): void {
    if (operation.status === "DONE" && failureOf(operation) === null) return;
    const zone = lastOf(operation.zone);
    const instance = unseen(operation, zone, this.#options.fleetId);
    if (partsOf(instance.id) === null || listed.has(instance.id)) return;
    this.#pendings.add({ operation: operation.name, zone, instance, isKnown: false });
    this.#judge(instance.id, operation);
  }

  async #unlisted(own: readonly Instance[]): Promise<Instance[]> {
    const absent = this.#pendings.absent(own, this.#options.clock.monoMs());
    const open = absent.filter(({ failedMono }) => failedMono === null);
    await Promise.all(open.slice(0, LOOKS_MAX).map((pending) => this.#look(pending)));
    // Of another process's open purchase too little is known to show it.
    return absent
      .filter(({ instance, isKnown, failedMono }) => {
        return this.#pendings.has(instance.id) && (isKnown || failedMono !== null);
      })
      .map(({ instance }) => instance);
  }

  async #look({ operation, zone, instance }: Pending): Promise<void> {
    const path = `/zones/${zone}/operations/${operation}`;
    const answer = await this.#api.call({ method: "GET", path, schema: Operation });
    if (answer.kind === "ok") this.#judge(instance.id, answer.data);
    else if (answer.class === "not_found") this.#pendings.drop(instance.id);
  }

  #judge(id: InstanceId, operation: Operation): void {
    if (operation.status !== "DONE") return;
    const failure = failureOf(operation);
    // Made and not listed: it was ended, or the list is behind.
    if (failure === null) return this.#pendings.drop(id);
    const nowMono = this.#options.clock.monoMs();
    this.#pendings.fail(id, endedClass(failure.class), failure.message, nowMono);
  }
}

/** An instance that this process knows only by its failed or open insert. */
function unseen(operation: Operation, zone: string, fleetId: string): Instance {
  const name = lastOf(operation.targetLink);
  return {
    id: idOf(zone, name, operation.targetId),
    name,
    token: null,
    state: "provisioning",
    tags: { [FLEET]: fleetId },
    region: regionOf(zone),
    zone,
    instanceType: "",
    internalIp: null,
    externalIp: null,
    createdAtMs: parseInstant(operation.insertTime) || 0,
    pricePerHour: null,
    hostKeys: null,
    failure: null,
    notice: null,
  };
}

const isIncomplete = (warning: { code: string } | null): boolean =>
  warning !== null && warning.code !== "NO_RESULTS_ON_PAGE" && warning.code !== "";

const incomplete = (message: string): Failed => {
  return { kind: "failed", class: "unknown", message, retryAfterMs: null };
};
