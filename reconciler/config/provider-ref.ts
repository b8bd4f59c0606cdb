/**
 * Reads where a pool buys: `provider`, or `providers` with priorities and weights. Replaces
 * abstract instance types by the provider's own.
 */
import { parse } from "valibot";
import {
  PROVIDER_TYPES,
  type ProviderConfig,
  type ProviderRef,
  type ProviderType,
} from "../../schema/config.ts";
import { metaOf, type PartOf } from "../../schema/config/field.ts";
import { REF } from "../../schema/config/pool.ts";
import { PoolName } from "../../schema/id.ts";
import { nearest } from "../../schema/nearest.ts";
import { unpriced, warnPurchase } from "./cloud-rule.ts";
import { readMachine, refuseMachine, warnMachine } from "./machine.ts";
import { checkPrices, type Directory, type Resolved } from "./provider.ts";
import { mergeSettings } from "../core/machine-setting.ts";
import { concreteType, sellersOf } from "../core/instance-type.ts";
import { quoteShort } from "./problem.ts";
import type { Section } from "./section.ts";
import { readPart } from "./table.ts";
import type { Entry } from "./tree.ts";

/** The pool's values, which apply to all its providers. */
export type PoolPlace = {
  instanceType: string | null;
  region: string | null;
  zones: string[];
  market: ProviderRef["market"];
  reservation: string | null;
  maxPrice: number | null;
  /** Ceilings in dollars that count the pool: `safety.spend`, `spend of the pool`. */
  ceilings: readonly string[];
  /** The pool may have no provider. */
  optional: boolean;
};

const REFS_MAX = 32;
const TYPES_MAX = 16;

export function readRefs(
  pool: Section,
  name: string,
  directory: Directory,
  place: PoolPlace,
): ProviderRef[] {
  const one = pool.look("provider");
  const many = pool.look("providers");
  const say = (message: string) => {
    const at = many?.at ?? pool.at;
    pool.problems.error(at, `${pool.path} ${JSON.stringify(name)}`, "provider", message);
  };
  if (one !== null && many !== null) say("provider and providers exclude each other");
  if (one === null && many === null && !place.optional) {
    say("needs provider or providers, or adopt: true for machines that are not bought");
  }
  if (one === null && many === null) refuseMachine(pool);
  checkPrices(pool);
  if (one !== null) {
    const given = pool.text("provider");
    if (given === null) return [];
    const found = resolve(pool, one, given, directory);
    if (found === null) return [];
    const ref = readRef(pool, given, found, place, { entry: null, pool }, 1);
    return ref === null ? [] : [ref];
  }
  return many === null ? [] : readMany(pool, directory, place);
}

function readMany(pool: Section, directory: Directory, place: PoolPlace): ProviderRef[] {
  const refs: ProviderRef[] = [];
  const types: ProviderType[] = [];
  for (const [index, section] of pool.list("providers", "provider", REFS_MAX).entries()) {
    if (!section.given) continue;
    const entry = section.look("name");
    const name = section.text("name");
    if (entry === null) section.missing("name");
    const twice = refs.some((ref) => ref.name === name);
    if (twice) section.fail("name", "duplicate_name", `${quoteShort(name ?? "")} is listed twice`);
    const found = entry === null || name === null ? null : resolve(section, entry, name, directory);
    checkPrices(section);
    const ref = readRef(section, name ?? "", found, place, { entry: section, pool }, index + 1);
    section.finish();
    if (ref !== null) refs.push(ref);
    if (found?.type != null) types.push(found.type);
  }
  const real = types.find((type) => type !== "kwok" && type !== "fake");
  if (types.includes("kwok") && real !== undefined) {
    const message = `virtual nodes of a kwok provider and machines of ${real} in one pool`;
    const hint = "a virtual node counts as capacity and runs nothing: make two pools";
    pool.fail("providers", "provider", message, hint);
  }
  return refs;
}

function resolve(section: Section, entry: Entry, name: string, directory: Directory) {
  const found = directory.resolve(section, entry, name);
  if (found !== null) return found;
  const defined = directory.defined();
  const close = nearest(name, [...defined, ...PROVIDER_TYPES]);
  const all = `defined: ${defined.length > 0 ? defined.join(", ") : "none"}`;
  const hint = close === null ? all : `${all}; did you mean "${close}"?`;
  const message = `provider ${quoteShort(name)} is not defined`;
  return section.problems.error(entry.value.at, entry.path, "undefined_provider", message, hint);
}

/** The entry is `null` in the short form. */
type Written = { pool: Section; entry: Section | null };

/**
 * `position` counts from 1, so that an explicit
 * priority 0 precedes every entry without one.
 */
function readRef(
  section: Section,
  name: string,
  found: Resolved | null,
  place: PoolPlace,
  { pool, entry }: Written,
  position: number,
): ProviderRef | null {
  const part = entry === null ? null : readPart(entry, REF);
  const priority = part?.priority ?? position;
  const weight = part?.weight ?? metaOf(REF.weight).default;
  const regions = part?.regions ?? (place.region === null ? [] : [place.region]);
  const terms = readTerms(section, part, place);
  const wanted = readTypes(section, part) ?? [part?.instanceType ?? place.instanceType];
  const own = readMachine(pool, entry, name, found?.type ?? null);
  if (found === null) return null;
  const zones = zonesOf(found, regions, part?.zones ?? place.zones);
  warnPlace(section, name, found, regions, zones);
  const types = wanted.map((one) => concrete(section, name, found, one));
  const { type, config } = found;
  const settings = mergeSettings(config?.settings ?? {}, own);
  const merged = config === null ? found : { type, config: { ...config, settings } };
  warnPrice(section, name, merged, types, terms, place.ceilings);
  warnMachine(entry === null ? [pool] : [pool, entry], type, settings);
  const written = part?.zones ?? place.zones;
  const { market } = terms;
  warnPurchase(section, { provider: name, type, settings, regions, zones: written, types, market });
  const [instanceType = "", ...instanceTypes] = new Set(types);
  return {
    ...{ name: parse(PoolName, name), priority, weight, regions, zones },
    ...{ instanceType, instanceTypes, ...terms },
    ...(own === undefined ? {} : { settings: own }),
  };
}

/** `null` = not written. */
function readTypes(section: Section, part: PartOf<typeof REF> | null): string[] | null {
  const types = part?.instanceTypes ?? null;
  if (types === null) return null;
  if (part?.instanceType !== null) {
    const message = "instance_type and instance_types exclude each other";
    section.fail("instance_types", "instance_type", message);
  }
  if (types.length === 0) section.fail("instance_types", "empty", "needs at least one type");
  if (types.length > TYPES_MAX) {
    const message = `has ${types.length} types, and at most ${TYPES_MAX} are tried`;
    section.fail("instance_types", "limit", message);
  }
  return types;
}

/** Each market has its own capacity and price, and only `reserved` names a reservation. */
function readTerms(
  section: Section,
  part: PartOf<typeof REF> | null,
  place: PoolPlace,
): Pick<ProviderRef, "market" | "reservation" | "maxPrice"> {
  const market = part?.market ?? place.market;
  const named = part?.reservation ?? null;
  const reservation = named ?? (market === "reserved" ? place.reservation : null);
  const maxPrice = part?.maxPrice ?? place.maxPrice;
  const isOwn = named !== null || part === null;
  if (market === "reserved" && reservation === null) {
    section.missing("reservation", "market: reserved takes instances from a reservation: name it");
  }
  if (market !== "reserved" && isOwn && (named ?? place.reservation) !== null) {
    const message = `a reservation has no effect with market: ${market}`;
    section.fail("reservation", "reservation", message, "write market: reserved");
  }
  return { market, reservation: market === "reserved" ? reservation : null, maxPrice };
}

/** An unknown price is above each limit in dollars: nothing is bought. */
function warnPrice(
  section: Section,
  name: string,
  { config }: Resolved,
  types: readonly string[],
  { market, maxPrice }: Pick<ProviderRef, "market" | "maxPrice">,
  ceilings: readonly string[],
) {
  if (config === null) return;
  const own = hasDollars(config.spend) ? [`spend of provider ${name}`] : [];
  const limits = [...(maxPrice === null ? [] : ["max_price"]), ...ceilings, ...own];
  const unknown = limits.length === 0 ? [] : unpriced(config, types, market);
  if (unknown.length === 0) return;
  const what = `${unknown.join(", ")} (${market})`;
  const message =
    `provider ${quoteShort(name)} tells no price of ${what}, and with ` +
    `${limits.join(" and ")} nothing is bought at an unknown price`;
  const pairs = unknown.map((type) => `${type}=DOLLARS`).join(", ");
  const hint = `write prices: [${pairs}] at the provider, or remove ${limits.join(" and ")}`;
  section.problems.warning(section.at, section.path, "price", message, hint);
}

/** Whether a ceiling needs each machine's price. */
export const hasDollars = ({ perHourMax, perMonthMax }: ProviderConfig["spend"]): boolean =>
  perHourMax !== null || perMonthMax !== null;

function concrete(section: Section, name: string, found: Resolved, wanted: string | null): string {
  if (wanted === null || found.type === null) return wanted ?? "";
  const type = concreteType(wanted, found.type);
  if (type !== null) return type;
  const message = `${quoteShort(wanted)} has no instance type at provider ${quoteShort(name)}`;
  const hint = `it exists at ${sellersOf(wanted).join(", ")}`;
  section.fail("instance_type", "instance_type", message, hint);
  return wanted;
}

/** Regions of Compute Engine whose zones are not a, b and c (docs/reference/gce.md). */
const GCE_ZONES: Readonly<Record<string, string>> = {
  "europe-west1": "bcd",
  "us-central1": "abcf",
  "us-east1": "bcd",
};

/**
 * A purchase at Google Cloud is repeated by its name, which is unique in one zone only. So the zone
 * is part of the frozen request, and may not be left to the cloud: without one, the provider's own
 * counts, else all zones of the regions.
 */
function zonesOf(found: Resolved, regions: readonly string[], zones: string[]): string[] {
  if (found.type !== "gcp" || zones.length > 0) return zones;
  const zone = found.config?.settings["zone"];
  const isInside = (own: string): boolean =>
    regions.length === 0 || regions.some((region) => own.startsWith(`${region}-`));
  if (typeof zone === "string" && isInside(zone)) return [zone];
  return regions.flatMap((region) => {
    const letters = Object.hasOwn(GCE_ZONES, region) ? GCE_ZONES[region] : "abc";
    return [...(letters ?? "")].map((letter) => `${region}-${letter}`);
  });
}

/** Google Cloud needs a zone, Lambda a region. */
function warnPlace(
  section: Section,
  name: string,
  found: Resolved,
  regions: readonly string[],
  zones: readonly string[],
) {
  const isZonal = found.type === "gcp";
  const needed = isZonal ? zones : found.type === "lambda" ? regions : null;
  if (needed === null || needed.length > 0) return;
  const what = isZonal ? "zone" : "region";
  const message = `no ${what} for provider ${quoteShort(name)}, so nothing can be created there`;
  const hint = isZonal ? "set zones" : "set region";
  section.problems.warning(section.at, section.path, what, message, hint);
}
