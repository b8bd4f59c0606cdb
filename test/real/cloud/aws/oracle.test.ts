/** moto's STS, and that botocore's model refuses what is wrong: an oracle that agrees proves nothing. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Credentials } from "../../../../reconciler/provider/aws/credential.ts";
import { openMoto } from "./subject.ts";

const moto = await openMoto();
afterAll(async () => await moto?.stop());

test.skipIf(moto === null)("a role is taken with a workload's token, at moto's STS", async () => {
  if (moto === null) return;
  const folder = mkdtempSync("/tmp/navarch-aws-");
  writeFileSync(`${folder}/token`, "header.payload.signature\n");
  const { url } = moto;
  const env = {
    AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/navarch",
    AWS_WEB_IDENTITY_TOKEN_FILE: `${folder}/token`,
    AWS_ENDPOINT_URL_STS: url,
  };
  const clock = { wallMs: () => Date.now(), monoMs: () => 0, after: () => () => undefined };
  const from = { env, home: folder, region: "us-east-1", profile: null, file: null, clock };
  const found = await new Credentials(from).get();
  rmSync(folder, { recursive: true });
  expect(found).toMatchObject({ kind: "ok", source: `role ${env.AWS_ROLE_ARN}` });
  if (found.kind !== "ok") return;
  expect(found.key.sessionToken).not.toBeNull();
  expect(found.expiresAtMs).toBeGreaterThan(Date.now());
});

test.skipIf(moto === null)("botocore refuses what EC2 would not understand", async () => {
  if (moto === null) return;
  const good = "Action=RunInstances&Version=2016-11-15&MinCount=1&MaxCount=1";
  const judge = async (body: string) => {
    const headers = { authorization: "none" };
    const said = await moto.judge({
      kind: "request",
      url: "http://x/",
      body,
      headers,
      secrets: {},
    });
    return said.filter((one) => one !== "no signature").join("; ");
  };
  expect(await judge(good)).toBe("");
  expect(await judge(`${good}&InstanceID=i-1`)).toContain("unknown parameter InstanceID");
  expect(await judge(`${good}&EbsOptimized=yes`)).toContain("is no boolean");
  expect(await judge(`${good}&InstanceType=p9.never`)).toContain("is none of");
  expect(await judge("Action=RunInstances&Version=2016-11-15")).toContain("MinCount");
  expect(await judge(`${good}&SecurityGroupId.2=sg-1`)).toContain("unknown parameter");
  const reply = (body: string) =>
    moto.judge({ kind: "reply", action: "DescribeInstances", status: 200, body });
  const named = (inner: string) =>
    `<DescribeInstancesResponse>${inner}</DescribeInstancesResponse>`;
  expect(await reply(named("<reservationSet/>"))).toEqual([]);
  expect(await reply(named("<reservations/>"))).not.toEqual([]);
  expect(await reply("<DescribeInstancesResponse>")).not.toEqual([]);
});
