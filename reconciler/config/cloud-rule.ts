/**
 * Warns of what a cloud cannot sell as it is written, as far as the file alone tells. Warnings, not
 * errors: the pool's machines run on, its other places may still sell, and a control plane that
 * does not start repairs nothing. `navarch doctor providers` asks the cloud about the rest.
 */
import type { Market } from "../../schema/purchase.ts";
import type { ProviderConfig } from "../../schema/config.ts";
import type { ValueOf } from "../../schema/config/field.ts";
import { type ProviderType, type SETTINGS, settingsOf } from "../../schema/config/provider.ts";
import { quoteShort } from "./problem.ts";
import type { Section } from "./section.ts";

type Settings = Partial<ValueOf<typeof SETTINGS>>;

/** How a cloud names places (docs/reference/providers.md#names), and what it sells there. */
type Rule = {
  label: string;
  /** `null` = it has none, and a name is ignored. */
  region: RegExp | null;
  zone: RegExp | null;
  markets: readonly Market[];
  /** Instance types of EC2 have a dot; those of no other cloud do. */
  dotted: boolean;
  /** What `ssh_keys` holds; `null` = not used. */
  keys: "one name" | "USER:KEY" | null;
};

const ALL: readonly Market[] = ["on-demand", "spot", "reserved"];
const EC2_REGION = /^[a-z]{2,}(-[a-z]+)+-\d+$/;
const GCE_REGION = /^[a-z]+(-[a-z]+)+\d+$/;

const RULES: Partial<Record<ProviderType, Rule>> = {
  aws: {
    label: "EC2",
    region: EC2_REGION,
    // Also of Local Zones and Wavelength: us-west-2-lax-1a, us-east-1-wl1-bos-wlz-1.
    zone: /^[a-z]{2,}(-[a-z]+)+-\d+([a-z]|-[a-z0-9-]+)$/,
    markets: ALL,
    dotted: true,
    keys: "one name",
  },
  gcp: {
    label: "Compute Engine",
    region: GCE_REGION,
    zone: /^[a-z]+(-[a-z]+)+\d+-[a-z0-9]+$/,
    markets: ALL,
    dotted: false,
    keys: "USER:KEY",
  },
  lambda: {
    label: "Lambda",
    region: EC2_REGION,
    zone: null,
    markets: ["on-demand"],
    dotted: false,
    keys: "one name",
  },
  coreweave: {
    label: "CoreWeave",
    region: null,
    zone: null,
    markets: ["on-demand", "spot"],
    dotted: false,
    keys: null,
  },
};

export type Bought = {
  provider: string;
  type: ProviderType | null;
  settings: ProviderConfig["settings"];
  regions: readonly string[];
  zones: readonly string[];
  types: readonly string[];
  market: Market;
};

/** `section` is where the place is written: the pool, or its entry of `providers`. */
export function warnPurchase(section: Section, bought: Bought): void {
  const rule = bought.type === null ? undefined : RULES[bought.type];
  if (rule === undefined) return;
  const { label, markets } = rule;
  const { market, types, provider, type, settings } = bought;
  const warn = (key: string, code: string, message: string, hint: string): void => {
    section.warn(key, code, `${message}, so nothing is bought there`, hint);
  };
  if (!markets.includes(market)) {
    const hint = `write market: ${markets.join(" or ")}`;
    warn("market", "market", `provider ${quoteShort(provider)} (${label}) has no ${market}`, hint);
  }
  for (const type of types.filter((one) => one !== "" && one.includes(".") !== rule.dotted)) {
    const message = `${quoteShort(type)} is not the name of a type of ${label}`;
    const hint = `\`navarch doctor providers --config FILE\` lists what provider ${provider} sells`;
    const key = section.has("instance_types") ? "instance_types" : "instance_type";
    warn(key, "place", message, hint);
  }
  if ((type === "aws" || type === "gcp") && (settings as Settings).image == null) {
    const hint = "write image here, or at the provider for all its pools";
    warn("image", "image", `neither the pool nor provider ${quoteShort(provider)} names one`, hint);
  }
  warnRegions(warn, section.has("regions") ? "regions" : "region", rule, bought);
  warnZones(warn, rule, bought);
}

type Warn = (key: string, code: string, message: string, hint: string) => void;

function warnRegions(
  warn: Warn,
  key: string,
  { label, region: form }: Rule,
  { provider, type, settings, regions }: Bought,
): void {
  if (form === null) return;
  const own = type === "aws" ? ((settings as Settings).region ?? null) : null;
  for (const region of regions) {
    if (!form.test(region)) {
      const hint = `${label} names them like ${type === "gcp" ? "us-central1" : "us-east-1"}`;
      warn(key, "region", `${quoteShort(region)} is not a region of ${label}`, hint);
    } else if (own !== null && region !== own) {
      const message = `provider ${quoteShort(provider)} buys in ${own} only, not in ${region}`;
      warn(key, "region", message, `define another aws provider with region: ${region}`);
    }
  }
}

function warnZones(warn: Warn, rule: Rule, bought: Bought): void {
  const { label, zone: form, region: regionForm } = rule;
  const { type, settings, regions, zones } = bought;
  const given = settings as Settings;
  if (form === null) {
    if (type === "lambda" && zones.length > 0) {
      const message = `Lambda has no zones: ${zones.join(", ")} has no effect`;
      warn("zones", "zone", message, "remove zones");
    }
    return;
  }
  const own = type === "aws" ? (given.region ?? null) : null;
  const homes = own === null ? regions : [own];
  for (const zone of zones) {
    if (!form.test(zone)) {
      const isRegion = regionForm?.test(zone) === true;
      const what = isRegion ? "is a region, not a zone" : `is not a zone of ${label}`;
      const example = type === "gcp" ? "us-central1-a" : "us-east-1a";
      warn("zones", "zone", `${quoteShort(zone)} ${what}`, `write for example ${example}`);
    } else if (homes.length > 0 && !homes.some((home) => isWithin(zone, home))) {
      const message = `zone ${zone} is not in ${homes.join(" or ")}`;
      warn("zones", "zone", message, "correct zones or the region");
    }
  }
  if (type === "aws") warnSubnets(warn, given, zones);
}

/** `us-east-1a` is in `us-east-1`, and not in `us-east-11`. */
function isWithin(zone: string, region: string): boolean {
  return zone.startsWith(region) && !/^\d/.test(zone.slice(region.length));
}

/** EC2 refuses a purchase in a zone that none of the subnets is in. */
function warnSubnets(warn: Warn, { subnet, subnets }: Settings, zones: readonly string[]): void {
  const known = pairsOf(subnets).map(({ zone }) => zone);
  // `subnet` is for every zone that `subnets` does not name.
  if (known.length === 0 || (subnet ?? null) !== null) return;
  const all = known.join(", ");
  if (zones.length === 0) {
    const message = "the pool names no zone, and the provider has a subnet for each of some zones";
    return warn("zones", "zone", message, `set zones to some of ${all}`);
  }
  for (const zone of zones.filter((one) => !known.includes(one))) {
    const message = `zone ${zone} has no subnet: the provider's subnets are in ${all}`;
    warn("zones", "zone", message, `add ${zone}=subnet-… to the provider's subnets`);
  }
}

/** `USER:ssh-ed25519 AAAA…`, as Compute Engine takes it. */
const USER_KEY = /^[a-z_][a-z0-9_.-]*:(ssh|ecdsa|sk-)\S+ [A-Za-z0-9+/=]+( .*)?$/;
const KEY_TYPE = /(?:^|:)(?:ssh-|ecdsa-|sk-)\S/;

/** The text of a public key, behind a user's name or not. */
const isPublicKey = (key: string): boolean => {
  const words = key.split(/\s+/);
  return words.some((word, at) => word.startsWith("AAAA") && KEY_TYPE.test(words[at - 1] ?? ""));
};

/** The pool's keys, for each provider that it buys from. */
export function warnKeys(
  pool: Section,
  keys: readonly string[],
  providers: readonly { name: string; type: ProviderType }[],
): void {
  const warned = new Set<ProviderType>();
  for (const { type } of providers) {
    const rule = RULES[type];
    if (rule === undefined || rule.keys === null || warned.has(type)) continue;
    warned.add(type);
    const wrong = rule.keys === "one name" ? wrongName(keys, rule.label) : wrongText(keys);
    if (wrong === null) continue;
    pool.warn("ssh_keys", "ssh_key", `${wrong.message}, so nothing is bought there`, wrong.hint);
  }
}

type Wrong = { message: string; hint: string };

function wrongName(keys: readonly string[], label: string): Wrong | null {
  if (keys.length > 1) {
    const message = `${label} takes one SSH key, and ${keys.length} are written`;
    return { message, hint: "write one; setup_commands can add further keys" };
  }
  if (!keys.some(isPublicKey)) return null;
  const message = `${label} takes the name of a key, and the text of a public key is written`;
  return { message, hint: "register the key there and write its name" };
}

function wrongText(keys: readonly string[]): Wrong | null {
  const odd = keys.find((key) => !USER_KEY.test(key));
  if (odd === undefined) return null;
  const message = `Compute Engine takes USER:KEY as an SSH key, found ${quoteShort(odd, 24)}`;
  return { message, hint: "write for example ubuntu:ssh-ed25519 AAAA…" };
}

/** What an `aws` provider's settings say that EC2 would refuse each time, at keys written here. */
export function warnAws(
  section: Section,
  settings: ProviderConfig["settings"],
  isWritten: (key: string) => boolean = () => true,
): void {
  const given = settings as Settings;
  const warn = (key: string, message: string, hint: string): void => {
    if (!isWritten(key)) return;
    section.warn(key, "place", `${message}, so nothing can be bought here`, hint);
  };
  const { region = null, image, subnet, efaInterfaces = 0, externalIp = null } = given;
  if (region !== null && !EC2_REGION.test(region)) {
    warn("region", `${quoteShort(region)} is not a region of EC2`, "write for example us-east-1");
  }
  const ids: [string, string, readonly string[]][] = [
    ["image", "ami-", image == null ? [] : [image]],
    ["subnet", "subnet-", subnet == null ? [] : [subnet]],
    ["security_groups", "sg-", listOf(given.securityGroups)],
  ];
  for (const [key, start, values] of ids) {
    const odd = values.find((value) => !value.startsWith(start));
    if (odd === undefined) continue;
    warn(key, `${quoteShort(odd)} is not an id`, `write the id, ${start}…, not the name`);
  }
  for (const { zone, id } of pairsOf(given.subnets)) {
    if (zone === "" || !id.startsWith("subnet-")) {
      warn("subnets", `${quoteShort(`${zone}=${id}`)} is not ZONE=SUBNET`, "us-east-1a=subnet-…");
    } else if (region !== null && !isWithin(zone, region)) {
      warn("subnets", `zone ${zone} is not in ${region}`, "correct the zone or region");
    }
  }
  const hasSubnet = subnet != null || listOf(given.subnets).length > 0;
  if ((efaInterfaces > 0 || externalIp !== null) && !hasSubnet) {
    const key = efaInterfaces > 0 ? "efa_interfaces" : "external_ip";
    warn(key, `${key} needs a subnet`, "write subnet or subnets");
  }
  if (efaInterfaces > 1 && externalIp === true) {
    const message = "a machine with several efa_interfaces cannot have a public address";
    warn("external_ip", message, "write external_ip: false, or efa_interfaces: 1");
  }
}

const listOf = (text: string | null | undefined): string[] =>
  (text ?? "").split(",").filter((one) => one !== "");

const pairsOf = (text: string | null | undefined): { zone: string; id: string }[] =>
  listOf(text).map((pair) => {
    const [zone = "", id = ""] = pair.split("=");
    return { zone, id };
  });

/** Of these types only EC2 reports prices, for spot; an unknown price is above each ceiling. */
export function unpriced(
  { type, settings }: Pick<ProviderConfig, "type" | "settings">,
  types: readonly string[],
  market: Market,
): string[] {
  if (!Object.hasOwn(settingsOf(type), "prices") || (type === "aws" && market === "spot"))
    return [];
  const told = listOf((settings as Settings).prices);
  return types.filter((one) => !told.some((pair) => pair.startsWith(`${one}=`)));
}
