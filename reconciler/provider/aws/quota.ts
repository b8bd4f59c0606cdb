/**
 * The account's limits for the types of some places, from Service Quotas: vCPUs of a family, apart
 * for Spot (docs/reference/aws.md#reading).
 */
import * as v from "valibot";
import type { Place, Quota, QuotaAnswer } from "../../core/provider.ts";
import { finite } from "../../../schema/number.ts";
import type { Ec2Api } from "./api.ts";
import { failedOf } from "./read.ts";

const PREFIX = "ServiceQuotasV20190624";
const Answer = v.object({ Quota: v.object({ QuotaName: v.string(), Value: finite }) });

/** By the beginning of the type. A family that is not here has limits that are not looked up. */
const FAMILIES: readonly { types: RegExp; onDemand: string; spot: string | null }[] = [
  { types: /^p[234]/, onDemand: "L-417A185B", spot: "L-7212CCBC" },
  { types: /^p5/, onDemand: "L-417A185B", spot: "L-C4BD4855" },
  { types: /^p\d/, onDemand: "L-417A185B", spot: null },
  { types: /^(g\d|gr\d|vt\d)/, onDemand: "L-DB2E81BA", spot: "L-3819A6DF" },
];

/** What is reserved counts against no such limit. */
function codeOf({ instanceType, market }: Place): string | null {
  const family = FAMILIES.find(({ types }) => types.test(instanceType));
  if (family === undefined || market === "reserved") return null;
  return market === "spot" ? family.spot : family.onDemand;
}

export async function readQuotas(
  api: Ec2Api,
  { region, quotaEndpoint }: { region: string; quotaEndpoint: string },
  places: readonly Place[],
): Promise<QuotaAnswer> {
  const here = places.filter((place) => place.region === null || place.region === region);
  const quotas: Quota[] = [];
  for (const code of new Set(here.flatMap((place) => codeOf(place) ?? []))) {
    const to = { service: "servicequotas", endpoint: quotaEndpoint, prefix: PREFIX };
    const asked = { ServiceCode: "ec2", QuotaCode: code };
    const answer = await api.callJson(to, "GetServiceQuota", asked);
    // The account has AWS's default, which this call does not tell.
    if (answer.kind === "failed" && answer.code === "NoSuchResourceException") continue;
    if (answer.kind === "failed") return failedOf(answer);
    const read = v.safeParse(Answer, answer.data);
    if (!read.success) {
      const message = `GetServiceQuota: ${read.issues[0].message}`;
      return { kind: "failed", class: "unavailable", message };
    }
    const { QuotaName: name, Value: limit } = read.output.Quota;
    quotas.push({ name: `${name} (vCPUs, ${code})`, region, limit, used: null });
  }
  return { kind: "ok", quotas };
}
