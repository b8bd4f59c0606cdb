/**
 * What EC2 tells without a purchase: places with their prices, a machine's host keys, and whether
 * a purchase would be allowed.
 */
import type { InstanceId } from "../../../schema/id.ts";
import type { Clock } from "../../core/clock.ts";
import type {
  CreateAnswer,
  CreateRequest,
  Failed as ReadFailed,
  HostKeysAnswer,
  Inspection,
  Offered,
  OffersAnswer,
  Place,
  PoolPlace,
} from "../../core/provider.ts";
import type { Ec2Api, Got, Params } from "./api.ts";
import type { Failed } from "./failure.ts";
import { type Launching, launchOf, type LaunchSettings } from "./launch.ts";
import { itemsAt, textAt, type Xml } from "./xml.ts";
import { parseInstant } from "../../../schema/instant.ts";

type From = { region: string; clock: Clock };

export function failedOf({ class: cls, message }: Failed): ReadFailed {
  const isAccount = cls === "auth" || cls === "billing";
  const known = cls === "rate_limit" ? cls : "unavailable";
  return { kind: "failed", class: isAccount ? "auth" : known, message };
}

/**
 * A type that no zone of the place offers is not available. What EC2 has in stock it does not tell,
 * but for reservations, which count what is left.
 */
export async function readOffers(
  api: Ec2Api,
  { region, clock }: From,
  places: readonly Place[],
): Promise<OffersAnswer> {
  const here = places.filter((place) => place.region === null || place.region === region);
  const zones = await offeredZones(api, [...new Set(here.map((one) => one.instanceType))]);
  if (zones.kind === "failed") return failedOf(zones);
  const spot = here.filter(({ market }) => market === "spot").map((one) => one.instanceType);
  const prices = await spotPrices(api, [...new Set(spot)], clock.wallMs());
  if (prices.kind === "failed") return failedOf(prices);
  const ids = new Set(here.flatMap((place) => place.reservation ?? []));
  const left = new Map<string, number>();
  for (const id of ids) {
    const answer = await countLeft(api, id);
    if (answer.kind === "failed") return failedOf(answer);
    left.set(id, answer.data);
  }
  const offers = places.map((place): Offered => {
    if (!here.includes(place)) return { ...place, pricePerHour: null, available: false };
    const fits = (zone: string) => place.zone === null || place.zone === zone;
    const isOffered = zones.data.some(([type, zone]) => type === place.instanceType && fits(zone));
    const free = place.reservation === null ? null : (left.get(place.reservation) ?? 0) > 0;
    const asked = prices.data.filter(([type, zone]) => type === place.instanceType && fits(zone));
    const price = Math.min(...asked.map(([, , dollars]) => dollars));
    const isKnown = place.market === "spot" && Number.isFinite(price);
    return {
      ...place,
      pricePerHour: isKnown ? price : null,
      available: isOffered ? free : false,
    };
  });
  return { kind: "ok", offers };
}

/** Pairs of type and zone. */
async function offeredZones(api: Ec2Api, types: string[]): Promise<Got<[string, string][]>> {
  if (types.length === 0) return { kind: "ok", data: [] };
  const Filter = [{ Name: "instance-type", Value: types }];
  const params = { LocationType: "availability-zone", Filter };
  const path = "instanceTypeOfferingSet";
  const answer = await api.pages("DescribeInstanceTypeOfferings", params, path);
  if (answer.kind === "failed") return answer;
  const pair = (item: Xml): [string, string] => {
    return [textAt(item, "instanceType") ?? "", textAt(item, "location") ?? ""];
  };
  return { kind: "ok", data: answer.data.map(pair) };
}

/** The latest price of each type and zone. */
export async function spotPrices(
  api: Ec2Api,
  types: string[],
  nowMs: number,
): Promise<Got<(readonly [string, string, number])[]>> {
  if (types.length === 0) return { kind: "ok", data: [] };
  const params = {
    InstanceType: types,
    ProductDescription: ["Linux/UNIX"],
    // From now on means: the present ones.
    StartTime: new Date(nowMs).toISOString().replace(/\.\d+/, ""),
  };
  const answer = await api.pages("DescribeSpotPriceHistory", params, "spotPriceHistorySet");
  if (answer.kind === "failed") return answer;
  const latest = new Map<string, { at: number; row: readonly [string, string, number] }>();
  for (const item of answer.data) {
    const type = textAt(item, "instanceType") ?? "";
    const zone = textAt(item, "availabilityZone") ?? "";
    const dollars = Number(textAt(item, "spotPrice") ?? Number.NaN);
    const at = parseInstant(textAt(item, "timestamp") ?? "");
    const isNewer = at >= (latest.get(`${type} ${zone}`)?.at ?? 0);
    if (dollars > 0 && isNewer) latest.set(`${type} ${zone}`, { at, row: [type, zone, dollars] });
  }
  return { kind: "ok", data: [...latest.values()].map(({ row }) => row) };
}

async function countLeft(api: Ec2Api, id: string): Promise<Got<number>> {
  const asked = { CapacityReservationId: [id] };
  const answer = await api.call("DescribeCapacityReservations", asked);
  if (answer.kind === "failed") {
    return answer.class === "bad_request" ? { kind: "ok", data: 0 } : answer;
  }
  const [item] = itemsAt(answer.data, "capacityReservationSet");
  const isActive = textAt(item, "state") === "active";
  const count = Number(textAt(item, "availableInstanceCount") ?? 0);
  return { kind: "ok", data: isActive && Number.isSafeInteger(count) ? count : 0 };
}

/** The machine's first boot prints its keys on the console, which EC2 shows minutes later. */
export async function readHostKeys(api: Ec2Api, id: InstanceId): Promise<HostKeysAnswer> {
  let answer = await api.call("GetConsoleOutput", { InstanceId: id, Latest: true });
  if (answer.kind === "failed" && answer.code?.startsWith("Unsupported") === true) {
    // Machines of the older hypervisor show only their boot.
    answer = await api.call("GetConsoleOutput", { InstanceId: id });
  }
  if (answer.kind === "failed") return failedOf(answer);
  const console = Buffer.from(textAt(answer.data, "output") ?? "", "base64").toString();
  return { kind: "ok", hostKeys: hostKeysIn(console) };
}

const KEY = /\b(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) (AAAA[A-Za-z0-9+/]+={0,2})/g;

/** The keys of the last complete block: the console keeps 64 KB, so one may be cut. */
export function hostKeysIn(console: string): string[] {
  const blocks = console.split("-----BEGIN SSH HOST KEY KEYS-----").slice(1);
  const whole = blocks.flatMap((block) => {
    const end = block.indexOf("-----END SSH HOST KEY KEYS-----");
    return end === -1 ? [] : [block.slice(0, end)];
  });
  return [...(whole.at(-1) ?? "").matchAll(KEY)].map(([, type, key]) => `${type} ${key}`);
}

export type Planned = { params: Params } | Extract<CreateAnswer, { kind: "refused" }>;

/** Dry runs: EC2 says what it would refuse, and buys nothing. */
export async function inspectPlaces(
  api: Ec2Api,
  { region, ...launching }: { region: string } & Launching,
  places: readonly PoolPlace[],
  plan: (request: CreateRequest) => Promise<Planned>,
): Promise<Inspection[]> {
  const read = await api.call("DescribeInstances", { DryRun: true });
  const found = [credentialOf(read)];
  if (found[0]?.outcome === "fail") return found;
  const keys = new Set(places.flatMap(({ sshKeys = [] }) => sshKeys));
  const asked = [...launchesOf(places, launching).flatMap(namesOf), ...[...keys].map(keyNamed)];
  found.push(...(await inspectNames(api, asked)));
  for (const place of places) {
    const where = `${place.instanceType} in ${place.zone ?? place.region ?? region}`;
    const planned = await plan(probeOf(place));
    if ("kind" in planned) {
      found.push({ check: "purchase", outcome: "fail", message: `${where}: ${planned.message}` });
      continue;
    }
    const answer = await api.call("RunInstances", { ...planned.params, DryRun: true }, "launch");
    found.push(dryRunOf(where, answer));
  }
  const offers = await readOffers(api, { region, clock: UNPRICED }, places.map(unpriced));
  for (const offer of offers.kind === "ok" ? offers.offers : []) {
    if (offer.available !== false || offer.reservation !== null) continue;
    const where = offer.zone ?? offer.region ?? region;
    const message = `${offer.instanceType} is not offered in ${where}`;
    found.push({ check: "instance type", outcome: "fail", message });
  }
  return found;
}

/** What is bought with, each once; what cannot be used is told at its place. */
function launchesOf(places: readonly Place[], launching: Launching): LaunchSettings[] {
  if (places.length === 0) return [launching.launch];
  const made = places.map((place) => launchOf(place, launching));
  const sound = made.filter((one) => typeof one !== "string");
  return [...new Map(sound.map((one) => [JSON.stringify(one), one])).values()];
}

type Named = [check: string, action: string, asked: Params, list: string, count: number];

function keyNamed(key: string): Named {
  return ["ssh key", "DescribeKeyPairs", { KeyName: [key] }, "keySet", 1];
}

/** What the settings name. */
function namesOf({ image, subnets, securityGroups }: LaunchSettings): Named[] {
  return [
    ["image", "DescribeImages", { ImageId: [image] }, "imagesSet", image === null ? 0 : 1],
    [
      "subnet",
      "DescribeSubnets",
      { SubnetId: subnets.map(({ id }) => id) },
      "subnetSet",
      subnets.length,
    ],
    [
      "security group",
      "DescribeSecurityGroups",
      { GroupId: [...securityGroups] },
      "securityGroupInfo",
      securityGroups.length,
    ],
  ];
}

/** Whether it is there: a dry run need not look at it. */
async function inspectNames(api: Ec2Api, names: readonly Named[]): Promise<Inspection[]> {
  const found: Inspection[] = [];
  for (const [check, action, params, list, count] of names) {
    if (count === 0) continue;
    const answer = await api.call(action, params);
    if (answer.kind === "failed") {
      const isPermission = answer.code === "UnauthorizedOperation";
      const outcome = answer.class === "bad_request" ? "fail" : "warn";
      found.push({ check: isPermission ? "permission" : check, outcome, message: answer.message });
    } else if (itemsAt(answer.data, list).length < count) {
      const message = `${check}: EC2 does not show ${JSON.stringify(params)}`;
      found.push({ check, outcome: "fail", message });
    }
  }
  return found;
}

/** Only whether a type is offered is asked: no price, no reservation. */
const unpriced = (place: Place): Place => ({ ...place, market: "on-demand", reservation: null });
const UNPRICED: Clock = { wallMs: () => 0, monoMs: () => 0, after: () => () => undefined };

function credentialOf(answer: Got): Inspection {
  if (answer.kind === "ok" || answer.class === "dry_run") {
    return { check: "credentials", outcome: "ok", message: "accepted; instances can be listed" };
  }
  const check = answer.code === "UnauthorizedOperation" ? "permission" : "credentials";
  return { check, outcome: "fail", message: answer.message };
}

/** Names for people, by the beginning of the code. */
const CHECKS: readonly (readonly [RegExp, string])[] = [
  [/^UnauthorizedOperation/, "permission"],
  [/^InvalidAMIID|^InvalidImage/, "image"],
  [/^InvalidSubnet|^InsufficientFreeAddresses/, "subnet"],
  [/^InvalidGroup|^InvalidSecurityGroup/, "security group"],
  [/^InvalidKeyPair/, "ssh key"],
  [/^InvalidCapacityReservation/, "reservation"],
  [/^InvalidInstanceType|^Unsupported/, "instance type"],
  [/^InvalidAvailabilityZone/, "zone"],
];

function dryRunOf(where: string, answer: Got): Inspection {
  if (answer.kind === "ok") {
    const message = `${where}: the dry run was answered as a purchase; look for an instance`;
    return { check: "purchase", outcome: "fail", message };
  }
  const { class: cls, code, message } = answer;
  if (cls === "dry_run") {
    return { check: "purchase", outcome: "ok", message: `${where}: would be accepted` };
  }
  const check = CHECKS.find(([start]) => start.test(code ?? ""))?.[1] ?? "purchase";
  const outcome = cls === "rate_limit" || cls === "unknown" ? "warn" : "fail";
  return { check, outcome, message: `${where}: ${message}` };
}

function probeOf(place: PoolPlace): CreateRequest {
  const name = "navarch-inspect";
  const tags = { "navarch-fleet": name };
  return { ...place, token: name, name, nodeId: name, tags, sshKeys: [...(place.sshKeys ?? [])] };
}
