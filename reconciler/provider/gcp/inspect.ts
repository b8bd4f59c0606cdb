/**
 * What Compute Engine tells without buying: whether a machine type exists at a place, the limits of
 * project and region, and what would prevent a purchase. It does not tell its stock or prices.
 *
 * Adapter: network, through ./api.ts.
 */
import * as v from "valibot";
import { finite } from "../../../schema/number.ts";
import type { Clock } from "../../core/clock.ts";
import type { Inspection, Offered, OffersAnswer, Place, QuotaAnswer } from "../../core/provider.ts";
import { type Failed, failedOf, type GceApi } from "./api.ts";
import { imagePath, type MachineOptions, optionsWith } from "./instance.ts";
import { isName, regionOf } from "./name.ts";

/** What a purchase, its end and its observation need, at the project. */
export const PERMISSIONS = [
  "compute.disks.create",
  "compute.globalOperations.list",
  "compute.instances.create",
  "compute.instances.delete",
  "compute.instances.get",
  "compute.instances.getGuestAttributes",
  "compute.instances.list",
  "compute.instances.reset",
  "compute.instances.setLabels",
  "compute.instances.setMetadata",
  "compute.machineTypes.get",
  "compute.projects.get",
  "compute.regions.get",
  "compute.subnetworks.use",
  "compute.zoneOperations.get",
] as const;
const EXTERNAL_IP = "compute.subnetworks.useExternalIp";

/** Types come and go rarely. */
const TYPES_MS = 3_600_000;
/** Limits that purchases of machines meet; a region has a hundred others. */
const METRIC = /_GPUS$|CPUS(_ALL_REGIONS)?$|^GPUS_ALL_REGIONS$|^INSTANCES$|_TOTAL_GB$|^IN_USE_ADDR/;

const Named = v.object({ name: v.string() });
const MachineType = v.object({
  name: v.string(),
  deprecated: v.nullish(v.object({ state: v.nullish(v.string(), "") }), null),
});
const Zone = v.object({ name: v.string(), status: v.nullish(v.string(), "") });
const Quotas = v.object({
  quotas: v.nullish(
    v.array(v.object({ metric: v.string(), limit: finite, usage: v.nullish(finite, null) })),
    [],
  ),
});
const Granted = v.object({ permissions: v.nullish(v.array(v.string()), []) });

type InspectOptions = MachineOptions & { endpoint: string; iamEndpoint: string; clock: Clock };
type Found = "there" | "missing" | Failed;

export class Inspector {
  readonly #options: InspectOptions;
  readonly #api: GceApi;
  /** By zone and type; as many as the pools name. */
  readonly #types = new Map<string, { isMissing: boolean; untilMono: number }>();

  constructor(options: InspectOptions, api: GceApi) {
    this.#options = options;
    this.#api = api;
  }

  async offers(places: readonly Place[]): Promise<OffersAnswer> {
    const offers: Offered[] = [];
    for (const place of places) {
      const isMissing = place.zone === null || (await this.#isMissing(place));
      // That a type exists does not mean that there is one.
      offers.push({ ...place, pricePerHour: null, available: isMissing ? false : null });
    }
    return { kind: "ok", offers };
  }

  /** What cannot be read is not missing. */
  async #isMissing(place: Place): Promise<boolean> {
    const key = `${place.zone}/${place.instanceType}`;
    const now = this.#options.clock.monoMs();
    const known = this.#types.get(key);
    if (known !== undefined && now < known.untilMono) return known.isMissing;
    const found = await this.#machineType(place);
    if (typeof found !== "string") return false;
    const isMissing = found === "missing";
    this.#types.set(key, { isMissing, untilMono: now + TYPES_MS });
    return isMissing;
  }

  async quota(places: readonly Place[]): Promise<QuotaAnswer> {
    const regions = new Set(places.map(({ region, zone }) => region ?? (zone && regionOf(zone))));
    const quotas: Extract<QuotaAnswer, { kind: "ok" }>["quotas"] = [];
    for (const region of [null, ...[...regions].filter((one) => one !== null && isName(one))]) {
      const path = region === null ? "" : `/regions/${region}`;
      const answer = await this.#api.call({ method: "GET", path, schema: Quotas });
      if (answer.kind === "failed") return failedOf(answer);
      for (const { metric, limit, usage } of answer.data.quotas) {
        if (METRIC.test(metric)) quotas.push({ name: metric, region, limit, used: usage });
      }
    }
    return { kind: "ok", quotas };
  }

  async inspect(places: readonly Place[]): Promise<Inspection[]> {
    const { project } = this.#options;
    const answer = await this.#api.call({ method: "GET", path: "", schema: Named });
    if (answer.kind === "failed") {
      const check = answer.class === "not_found" || answer.class === "bad_request";
      return [fail(check ? "project" : "credentials", `project ${project}: ${answer.message}`)];
    }
    const machines = (places.length === 0 ? [{}] : places).map((place) => {
      return optionsWith(this.#options, place);
    });
    const hasAddress = machines.some(({ externalIp }) => externalIp);
    const out = [ok("credentials", `project ${project} can be read`)];
    out.push(await this.#permissions(hasAddress));
    for (const image of new Set(machines.map((machine) => machine.image))) {
      if (image === null) out.push(fail("image", "no image: set it at the provider or the pool"));
      else out.push(await this.#image(image, project));
    }
    const zones = new Set(places.map(({ zone }) => zone));
    for (const zone of zones) out.push(await this.#zone(zone));
    const types = new Map(places.map((place) => [`${place.zone}/${place.instanceType}`, place]));
    for (const place of types.values()) {
      if (place.zone !== null) out.push(await this.#type(place));
    }
    for (const place of places) {
      if (place.reservation !== null) out.push(await this.#reservation(place, place.reservation));
    }
    return out;
  }

  async #permissions(hasAddress: boolean): Promise<Inspection> {
    const { iamEndpoint, project } = this.#options;
    const permissions = [...PERMISSIONS, ...(hasAddress ? [EXTERNAL_IP] : [])];
    const path = `${iamEndpoint}/projects/${project}:testIamPermissions`;
    const body = { permissions };
    const answer = await this.#api.call({ method: "POST", path, body, schema: Granted });
    // The Resource Manager is another API, which may be off.
    if (answer.kind === "failed") return warn("permission", `not checked: ${answer.message}`);
    const missing = permissions.filter((one) => !answer.data.permissions.includes(one));
    if (missing.length === 0) return ok("permission", `all ${permissions.length} needed ones`);
    return fail("permission", `missing at project ${project}: ${missing.join(", ")}`);
  }

  async #image(image: string, project: string): Promise<Inspection> {
    const path = `${this.#options.endpoint}/${imagePath(image, project)}`;
    const found = await this.#look(path, Named);
    return judge("image", imagePath(image, project), found);
  }

  async #zone(zone: string | null): Promise<Inspection> {
    if (zone === null) return fail("zone", "a pool names no zone: set zones on the pool");
    const path = `/zones/${zone}`;
    const answer = await this.#api.call({ method: "GET", path, schema: Zone });
    if (answer.kind === "failed") return judge("zone", zone, readFound(answer));
    if (answer.data.status === "DOWN") return warn("zone", `${zone} is down`);
    return ok("zone", zone);
  }

  async #type(place: Place): Promise<Inspection> {
    const found = await this.#machineType(place);
    return judge("instance type", `${place.instanceType} in ${place.zone}`, found);
  }

  async #reservation(place: Place, reservation: string): Promise<Inspection> {
    const path = `/zones/${place.zone}/reservations/${reservation}`;
    const found = await this.#look(path, Named);
    return judge("reservation", `${reservation} in ${place.zone}`, found);
  }

  async #machineType({ zone, instanceType }: Place): Promise<Found> {
    const path = `/zones/${zone}/machineTypes/${instanceType}`;
    const answer = await this.#api.call({ method: "GET", path, schema: MachineType });
    if (answer.kind === "failed") return readFound(answer);
    const state = answer.data.deprecated?.state ?? "";
    return state === "OBSOLETE" || state === "DELETED" ? "missing" : "there";
  }

  async #look(path: string, schema: typeof Named): Promise<Found> {
    const answer = await this.#api.call({ method: "GET", path, schema });
    return answer.kind === "ok" ? "there" : readFound(answer);
  }
}

function readFound(failed: Failed): Found {
  return failed.class === "not_found" || failed.class === "bad_request" ? "missing" : failed;
}

function judge(check: string, what: string, found: Found): Inspection {
  if (found === "there") return ok(check, what);
  if (found === "missing") return fail(check, `${what} does not exist`);
  return warn(check, `${what}: not checked: ${found.message}`);
}

const ok = (check: string, message: string): Inspection => ({ check, outcome: "ok", message });
const warn = (check: string, message: string): Inspection => ({ check, outcome: "warn", message });
const fail = (check: string, message: string): Inspection => ({ check, outcome: "fail", message });
