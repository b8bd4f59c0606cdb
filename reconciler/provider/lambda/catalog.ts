/**
 * What Lambda Cloud sells: prices and capacity of each instance type, and whether an account could
 * buy at given places. Reads only. Prices are kept for an hour.
 */
import * as v from "valibot";
import { nearest } from "../../../schema/nearest.ts";
import { amount } from "../../../schema/number.ts";
import type {
  Failed as FailedAnswer,
  Inspection,
  Offered,
  OffersAnswer,
  Place,
  PoolPlace,
} from "../../core/provider.ts";
import type { Failed, LambdaApi } from "./api.ts";

const text = v.string();
const Named = v.object({ name: text });
export const TypeBody = v.object({ name: text, price_cents_per_hour: amount });
const Types = v.record(
  text,
  v.object({ instance_type: TypeBody, regions_with_capacity_available: v.array(Named) }),
);
type Types = v.InferOutput<typeof Types>;

export class Catalog {
  /** By instance type, as last read. */
  readonly prices = new Map<string, number>();
  readonly #api: LambdaApi;

  constructor(api: LambdaApi) {
    this.#api = api;
  }

  async offers(places: readonly Place[]): Promise<OffersAnswer> {
    const answer = await this.#types();
    if (answer.kind === "failed") return failedAnswer(answer);
    const sold = new Map(Object.values(answer.data).map((one) => [one.instance_type.name, one]));
    const offers = places.map((place): Offered => {
      const one = sold.get(place.instanceType);
      const regions = one?.regions_with_capacity_available ?? [];
      const isThere = regions.some(({ name }) => name === place.region);
      const available = place.market === "on-demand" && isThere;
      return { ...place, pricePerHour: this.prices.get(place.instanceType) ?? null, available };
    });
    return { kind: "ok", offers };
  }

  async inspect(places: readonly PoolPlace[]): Promise<Inspection[]> {
    const answer = await this.#types();
    if (answer.kind === "failed") {
      const check = answer.class === "billing" ? "billing" : "credentials";
      const isBlind = answer.class !== "auth" && answer.class !== "billing";
      return [{ check, outcome: isBlind ? "warn" : "fail", message: answer.message }];
    }
    const names = await this.#names("/regions");
    const rows: Inspection[] = [ok("credentials", "the API key is valid")];
    if (typeof names === "string") rows.push(warn("region", names));
    for (const place of places) {
      if (typeof names !== "string") rows.push(judgeRegion(place, names));
      rows.push(...judgeType(place, answer.data));
    }
    return distinct([...rows, ...(await this.#inspectKeys(places))]);
  }

  /** As a purchase chooses the key: the pool's, else the only one of the account. */
  async #inspectKeys(places: readonly PoolPlace[]): Promise<Inspection[]> {
    const names = await this.#names("/ssh-keys");
    if (typeof names === "string") return [warn("ssh key", names)];
    const all = names.join(", ");
    if (names.length === 0) {
      return [fail("ssh key", "the account has none: add one at cloud.lambda.ai/ssh-keys")];
    }
    const asked = places.length === 0 ? [[]] : places.map(({ sshKeys = [] }) => sshKeys);
    return asked.flatMap((keys): Inspection[] => {
      if (keys.length > 0) return keys.map((key) => judgeKey(key, names));
      if (names.length === 1) return [ok("ssh key", `${all} is used where ssh_keys is not set`)];
      const judge = places.length === 0 ? ok : fail;
      return [judge("ssh key", `set ssh_keys of each pool to one of ${all}`)];
    });
  }

  /** Names of the account's SSH keys; else why they cannot be read. */
  sshKeys() {
    return this.#api.call("GET", "/ssh-keys", v.array(Named));
  }

  async #names(path: "/regions" | "/ssh-keys"): Promise<string[] | string> {
    const answer = await this.#api.call("GET", path, v.array(Named));
    return answer.kind === "ok" ? answer.data.map(({ name }) => name) : answer.message;
  }

  async #types() {
    const answer = await this.#api.call("GET", "/instance-types", Types);
    if (answer.kind === "failed") return answer;
    for (const { instance_type: type } of Object.values(answer.data)) {
      this.prices.set(type.name, type.price_cents_per_hour / 100);
    }
    return answer;
  }
}

function judgeKey(key: string, names: readonly string[]): Inspection {
  if (names.includes(key)) return ok("ssh key", `${key} is registered`);
  return fail("ssh key", `${key} is not registered: the account has ${names.join(", ")}`);
}

function judgeRegion({ region }: Place, names: readonly string[]): Inspection {
  if (region === null) return fail("region", "not set: Lambda needs one, set region on the pool");
  if (names.includes(region)) return ok("region", `${region} exists`);
  return fail("region", `${region} is unknown${meant(region, names)}`);
}

function judgeType({ instanceType, market }: Place, types: Types): Inspection[] {
  const names = Object.values(types).map((one) => one.instance_type.name);
  if (!names.includes(instanceType)) {
    const message = `${instanceType} is unknown${meant(instanceType, names)}`;
    return [fail("instance type", message)];
  }
  const found = ok("instance type", `${instanceType} exists`);
  if (market === "on-demand") return [found];
  return [found, fail("market", `Lambda sells on-demand instances only, not ${market}`)];
}

/** The nearest name, or the first ones, for a message. */
function meant(given: string, names: readonly string[]): string {
  const close = nearest(given, names);
  if (close !== null) return `: did you mean ${close}?`;
  const shown = names.slice(0, 20).join(", ");
  return names.length === 0 ? "" : ` (${shown}${names.length > 20 ? ", …" : ""})`;
}

const distinct = (rows: readonly Inspection[]): Inspection[] => [
  ...new Map(rows.map((row) => [`${row.check} ${row.message}`, row])).values(),
];

export function failedAnswer({ class: cls, message }: Failed): FailedAnswer {
  const known = cls === "billing" ? "auth" : cls;
  const isNamed = known === "auth" || known === "rate_limit";
  return { kind: "failed", class: isNamed ? known : "unavailable", message };
}

const ok = (check: string, message: string): Inspection => ({ check, outcome: "ok", message });
const warn = (check: string, message: string): Inspection => ({ check, outcome: "warn", message });
const fail = (check: string, message: string): Inspection => ({ check, outcome: "fail", message });
