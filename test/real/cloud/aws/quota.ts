/** Service Quotas, which moto does not have for EC2: the limits that a test sets. */
import type { Moto } from "./moto.ts";

type Asked = {
  url: string;
  headers: Record<string, string>;
  body: string;
  secrets: Record<string, string>;
};

/** `violations` gets what botocore has against request or reply. */
export async function answerQuota(
  moto: Moto,
  asked: Asked,
  quotas: ReadonlyMap<string, number>,
  violations: string[],
): Promise<Response> {
  violations.push(...(await moto.judge({ kind: "quota", ...asked })));
  const { QuotaCode } = JSON.parse(asked.body) as { QuotaCode: string };
  const Value = quotas.get(QuotaCode);
  const said =
    Value === undefined
      ? { __type: "NoSuchResourceException", message: "words for people" }
      : { Quota: { ServiceCode: "ec2", QuotaCode, QuotaName: "Running P instances", Value } };
  const status = Value === undefined ? 400 : 200;
  const body = JSON.stringify(said);
  violations.push(...(await moto.judge({ kind: "quota_reply", status, body })));
  return new Response(body, { status });
}
