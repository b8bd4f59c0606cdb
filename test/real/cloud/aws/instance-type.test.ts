/** How many GPUs an instance type has, against EC2's own list as moto carries it. */
import { afterAll, expect, test } from "bun:test";
import { gpusOfType } from "../../../../reconciler/core/instance-type.ts";
import { itemsAt, parseXml, textAt } from "../../../../reconciler/provider/aws/xml.ts";
import { openMoto } from "./subject.ts";

const moto = await openMoto();
afterAll(async () => await moto?.stop());

/** Types with GPUs of NVIDIA's that are whole, and how many. */
async function listTypes(url: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  // moto checks no signature, and finds the service in it.
  const authorization = "AWS4-HMAC-SHA256 Credential=a/20261123/us-east-1/ec2/aws4_request";
  let next: string | null = null;
  do {
    const asked = { Action: "DescribeInstanceTypes", Version: "2016-11-15", MaxResults: "100" };
    const body = new URLSearchParams({ ...asked, ...(next === null ? {} : { NextToken: next }) });
    const answer = await fetch(url, { method: "POST", headers: { authorization }, body });
    const page = parseXml(await answer.text()) ?? undefined;
    next = textAt(page, "nextToken");
    for (const item of itemsAt(page, "instanceTypeSet")) {
      const all = itemsAt(item, "gpuInfo", "gpus");
      const gpus = all.filter((gpu) => textAt(gpu, "manufacturer") === "NVIDIA");
      const sum = gpus.reduce((so, gpu) => so + Number(textAt(gpu, "count") ?? 0), 0);
      if (sum > 0) found.set(textAt(item, "instanceType") ?? "", sum);
    }
  } while (next !== null && next !== "");
  return found;
}

if (moto === null) test.skip("GPUs of EC2's instance types", () => undefined);
else {
  test("every type of EC2's with whole NVIDIA GPUs is known, with their number", async () => {
    const types = await listTypes(moto.url);
    expect(types.size).toBeGreaterThan(50);
    const ours = [...types.keys()].map((type) => [type, gpusOfType(type, "aws")]);
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(types));
    for (const none of ["g6f.xlarge", "m5.large", "constructor"]) {
      expect(gpusOfType(none, "aws")).toBeNull();
    }
  }, 60_000);
}
