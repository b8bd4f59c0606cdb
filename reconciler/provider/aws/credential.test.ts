/** Where credentials are found, in which order, and what is said where there are none. */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CredentialOptions, Credentials } from "./credential.ts";
import { profileIn } from "./profile.ts";
import { readAwsSettings } from "./setting.ts";

const KEYS = { AWS_ACCESS_KEY_ID: "AKIAENV", AWS_SECRET_ACCESS_KEY: "s3cret-env" };
const NOWHERE = { AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://127.0.0.1:1" };
const NOW_MS = Date.UTC(2026, 10, 23);

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "navarch-aws-"));
  mkdirSync(join(home, ".aws"));
});
afterEach(() => rmSync(home, { recursive: true }));
const write = (file: string, text: string) => writeFileSync(join(home, ".aws", file), text);

/** A machine's metadata service and a container's endpoint. */
const seen: string[] = [];
let keysGiven = 0;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const { pathname } = new URL(request.url);
    const { method, headers } = request;
    seen.push(`${method} ${pathname}`);
    if (pathname === "/latest/api/token" && method === "PUT") return new Response("t1");
    if (pathname === "/sts/") return stsReply(await request.text());
    const isAllowed =
      headers.get("x-aws-ec2-metadata-token") === "t1" || headers.get("authorization") === "task";
    if (!isAllowed) return new Response("", { status: 401 });
    const role = "/latest/meta-data/iam/security-credentials/";
    if (pathname === role) return new Response("gpu-role\n");
    keysGiven += 1;
    const Expiration = new Date(NOW_MS + 3_600_000).toISOString();
    const AccessKeyId = `ASIA${keysGiven}`;
    return Response.json({ AccessKeyId, SecretAccessKey: "x", Token: "tok", Expiration });
  },
});
afterAll(() => server.stop(true));
const url = `http://127.0.0.1:${server.port}`;

function stsReply(body: string): Response {
  const form = new URLSearchParams(body);
  const action = form.get("Action") ?? "";
  if (form.get("RoleArn") === "arn:denied") {
    const xml = "<Error><Code>AccessDenied</Code><Message>not you</Message></Error>";
    return new Response(`<ErrorResponse>${xml}</ErrorResponse>`, { status: 403 });
  }
  const given = `<AccessKeyId>ASIASTS</AccessKeyId><SecretAccessKey>y</SecretAccessKey>
    <SessionToken>st</SessionToken><Expiration>2026-11-23T02:00:00Z</Expiration>`;
  const result = `<${action}Result><Credentials>${given}</Credentials></${action}Result>`;
  return new Response(`<${action}Response>${result}</${action}Response>`);
}

function openTest(env: Record<string, string>, more: Partial<CredentialOptions> = {}) {
  let nowMs = NOW_MS;
  const clock = { wallMs: () => nowMs, monoMs: () => nowMs, after: () => () => undefined };
  const base = { home, region: "us-east-1", profile: null, file: null, clock };
  const credentials = new Credentials({ ...base, env, ...more });
  const get = async () => {
    const found = await credentials.get();
    return found.kind === "ok" ? `${found.key.accessKeyId} of ${found.source}` : found.message;
  };
  return { credentials, get, step: (ms: number) => void (nowMs += ms) };
}

test("the environment comes first, then the named profile, then the default one", async () => {
  const file =
    "[default]\naws_access_key_id = AKIADEF\naws_secret_access_key=d\n" +
    "[work]\naws_access_key_id=AKIAWORK\naws_secret_access_key = w # not a comment\n";
  write("credentials", file);
  const path = join(home, ".aws/credentials");
  expect(await openTest(KEYS).get()).toBe("AKIAENV of AWS_ACCESS_KEY_ID");
  const named = openTest({ AWS_PROFILE: "work" });
  expect(await named.get()).toBe(`AKIAWORK of profile work of ${path}`);
  expect(await openTest({}).get()).toBe(`AKIADEF of profile default of ${path}`);
  // A setting of the provider excludes everything else.
  expect(await openTest(KEYS, { profile: "work" }).get()).toContain("AKIAWORK");
  expect(await openTest(KEYS, { profile: "none" }).get()).toContain(
    "no credentials for profile none",
  );
  expect(await openTest(KEYS, { file: "/no/such" }).get()).toContain("/no/such has no credentials");
});

test("a rotated file is read again after a minute, or once the cloud refused the key", async () => {
  const key = (id: string) => `[default]\naws_access_key_id=${id}\naws_secret_access_key=x\n`;
  write("credentials", key("AKIAONE"));
  const { credentials, get, step } = openTest({});
  await get();
  write("credentials", key("AKIATWO"));
  expect(await get()).toContain("AKIAONE");
  step(60_000);
  expect(await get()).toContain("AKIATWO");
  write("credentials", key("AKIATHREE"));
  credentials.forget();
  expect(await get()).toContain("AKIATHREE");
});

test("an instance role is renewed five minutes before its end, once for all callers", async () => {
  keysGiven = 0;
  const { get, step } = openTest({ AWS_EC2_METADATA_SERVICE_ENDPOINT: url });
  const first = "ASIA1 of instance role gpu-role";
  expect(await Promise.all([get(), get()])).toEqual([first, first]);
  step(3_299_000);
  expect(await get()).toBe(first);
  step(1_000);
  expect(await get()).toBe("ASIA2 of instance role gpu-role");
});

test("a key that is still valid serves while its source does not answer", async () => {
  const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: url } as Record<string, string>;
  const { get, step } = openTest(env);
  const first = await get();
  env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:1";
  step(3_400_000);
  expect(await get()).toBe(first);
  step(200_000);
  expect(await get()).toContain("no AWS credentials");
});

test("a container is given its key by the endpoint it names, over TLS or on this machine", async () => {
  const at = (address: string) => ({ AWS_CONTAINER_CREDENTIALS_FULL_URI: address, ...NOWHERE });
  const token = { AWS_CONTAINER_AUTHORIZATION_TOKEN: "task" };
  expect(await openTest({ ...at(`${url}/creds`), ...token }).get()).toContain(
    "the container's role",
  );
  expect(await openTest(at(`${url}/creds`)).get()).toContain("HTTP 401");
  expect(await openTest({ ...at("http://10.0.0.1/creds"), ...token }).get()).toContain(
    "needs https",
  );
  expect(await openTest(at("nonsense")).get()).toContain("is not a URL");
  const odd = { AWS_EC2_METADATA_SERVICE_ENDPOINT: "nonsense" };
  expect(await openTest(odd).get()).toContain("is not a URL");
});

test("a role is taken with the keys of its source profile, or with a token", async () => {
  write("credentials", "[base]\naws_access_key_id=AKIABASE\naws_secret_access_key=b\n");
  const config = `[profile gpu]\nrole_arn = arn:ok\nsource_profile=base\nregion = eu-west-1
[profile denied]\nrole_arn=arn:denied\nsource_profile=base
[profile loop]\nrole_arn=arn:ok\nsource_profile=loop
[profile sso]\nsso_session = corp\n`;
  write("config", config);
  const env = { AWS_ENDPOINT_URL_STS: `${url}/sts/`, ...NOWHERE };
  expect(await openTest({ ...env, AWS_PROFILE: "gpu" }).get()).toContain("ASIASTS of profile gpu");
  const denied = await openTest({ ...env, AWS_PROFILE: "denied" }).get();
  expect(denied).toContain("AssumeRole: AccessDenied: not you");
  expect(await openTest({ ...env, AWS_PROFILE: "loop" }).get()).toContain("leads back to a");
  expect(await openTest({ ...env, AWS_PROFILE: "sso" }).get()).toContain("[sso-session corp]");
  write("token", "jwt");
  const file = join(home, ".aws/token");
  const workload = { AWS_ROLE_ARN: "arn:ok", AWS_WEB_IDENTITY_TOKEN_FILE: file };
  expect(await openTest({ ...env, ...workload }).get()).toContain("ASIASTS of role arn:ok");
  rmSync(file);
  expect(await openTest({ ...env, ...workload }).get()).toContain("token cannot be read");
  const settings = { image: "ami-1", profile: "gpu" };
  const read = readAwsSettings(settings, { HOME: home });
  expect(read).toMatchObject({
    region: "eu-west-1",
    endpoint: "https://ec2.eu-west-1.amazonaws.com",
  });
});

test("no message holds a secret, and an unprintable key is not sent", async () => {
  const odd = { AWS_ACCESS_KEY_ID: "AKIA\nX", AWS_SECRET_ACCESS_KEY: "s3cret" };
  const said = await openTest(odd).get();
  expect(said).toContain("not printable ASCII");
  expect(said).not.toContain("AKIA");
  const none = await openTest(NOWHERE).get();
  expect(none).toContain("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or profile");
});

test("profileIn() reads both files, and neither another profile nor nested settings", () => {
  const config =
    "[profile a]\nregion=r1\ns3 =\n  region = nested\n[a]\nregion=wrong\n[default]\nx=1\n";
  const files = { config, credentials: "[a]\naws_access_key_id=k=v\n; comment = 1\n" };
  expect({ ...profileIn(files, "a") }).toEqual({ region: "r1", s3: "", aws_access_key_id: "k=v" });
  expect({ ...profileIn(files, "default") }).toEqual({ x: "1" });
  expect(profileIn(files, "b")).toBeNull();
});

test.each([
  [{}, {}, "no region: set region"],
  [{ region: "somewhere" }, {}, "region somewhere is not"],
  [{ region: "us-east-1", image: "ami-1" }, { AWS_ENDPOINT_URL: "x" }, "is not a URL"],
  [{ region: "us-east-1", image: "ubuntu" }, {}, "image: set it"],
  [{ region: "us-east-1", image: "ami-1", subnets: "a" }, {}, "ZONE=SUBNET"],
  [{ region: "us-east-1", image: "ami-1", userDataFile: "/no/such" }, {}, "cannot be read"],
])("readAwsSettings() says what is missing", (settings, env, message) => {
  const read = readAwsSettings(settings as Record<string, string>, {
    HOME: "/nonexistent",
    ...env,
  });
  expect(read).toContain(message);
});

test("readAwsSettings() takes AWS's own variables where nothing is written", () => {
  const env = { HOME: home, AWS_REGION: "cn-north-1", AWS_ENDPOINT_URL: "" };
  const subnets = "cn-north-1a=subnet-1,cn-north-1b=subnet-2";
  const read = readAwsSettings({ image: "ami-1", subnets, launchIntervalMs: 2_000 }, env);
  expect(read).toMatchObject({
    region: "cn-north-1",
    endpoint: "https://ec2.cn-north-1.amazonaws.com.cn",
    rates: { launch: { perSecond: 0.5, burst: 1 }, read: { perSecond: 20, burst: 100 } },
    launch: { subnets: [{ zone: "cn-north-1a", id: "subnet-1" }, { id: "subnet-2" }] },
  });
});
