/** Profiles as people have them: programs, IAM Identity Center, chains of roles, MFA. */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAws } from "./aws.ts";
import { Credentials } from "./credential.ts";
import { readAwsSettings, whyNoKey } from "./setting.ts";

const NOW_MS = Date.UTC(2026, 10, 23);
const HOUR_MS = 3_600_000;
const iso = (ms: number): string => new Date(ms).toISOString();

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "navarch-aws-"));
  mkdirSync(join(home, ".aws/sso/cache"), { recursive: true });
  cloud.calls = [];
  cloud.portal = cloud.renewal = 200;
});
afterEach(() => rmSync(home, { recursive: true }));
const config = (text: string) => writeFileSync(join(home, ".aws/config"), text);

/** The programs of a test count their runs in a file. */
function program(name: string, ...lines: string[]): string {
  const path = join(home, name);
  writeFileSync(path, `#!/bin/sh\necho run >>"${path}.runs"\n${lines.join("\n")}\n`);
  chmodSync(path, 0o755);
  return path;
}
const runsOf = (path: string): number =>
  existsSync(`${path}.runs`) ? readFileSync(`${path}.runs`, "utf8").split("run").length - 1 : 0;
const printed = (id: string, more: object = {}): string =>
  `echo '${JSON.stringify({ Version: 1, AccessKeyId: id, SecretAccessKey: "s3cret", ...more })}'`;

/** IAM Identity Center and the Security Token Service. */
const cloud = { calls: [] as string[], portal: 200, renewal: 200, life: HOUR_MS };
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    const body = await request.text();
    if (pathname === "/federation/credentials") {
      const token = request.headers.get("x-amz-sso_bearer_token");
      const [role, account] = [searchParams.get("role_name"), searchParams.get("account_id")];
      cloud.calls.push(`${token} ${role} ${account}`);
      if (cloud.portal !== 200) return new Response("{}", { status: cloud.portal });
      const given = { accessKeyId: `ASIA${token}`, secretAccessKey: "y", sessionToken: "t" };
      const expiration = NOW_MS + 12 * HOUR_MS;
      return Response.json({ roleCredentials: { ...given, expiration } });
    }
    if (pathname === "/token") {
      cloud.calls.push(body);
      if (cloud.renewal !== 200) return new Response("{}", { status: cloud.renewal });
      return Response.json({ accessToken: "NEW", expiresIn: 3_600, refreshToken: "r2" });
    }
    const form = new URLSearchParams(body);
    const signer = /Credential=(\w+)\//.exec(request.headers.get("authorization") ?? "")?.[1];
    const role = form.get("RoleArn");
    cloud.calls.push(`${role} by ${signer} for ${form.get("DurationSeconds")}`);
    const ends = iso(now.ms + cloud.life);
    const given = `<AccessKeyId>ASIA${role}</AccessKeyId><SecretAccessKey>y</SecretAccessKey>
      <SessionToken>st</SessionToken><Expiration>${ends}</Expiration>`;
    const result = `<AssumeRoleResult><Credentials>${given}</Credentials></AssumeRoleResult>`;
    return new Response(`<AssumeRoleResponse>${result}</AssumeRoleResponse>`);
  },
});
afterAll(() => server.stop(true));
const now = { ms: NOW_MS };

function openTest(profile: string, more: Record<string, string> = {}) {
  now.ms = NOW_MS;
  let timers: { atMs: number; work: () => void }[] = [];
  const after = (ms: number, work: () => void) => {
    const timer = { atMs: now.ms + ms, work };
    timers.push(timer);
    return () => void (timers = timers.filter((one) => one !== timer));
  };
  const step = (ms: number) => {
    now.ms += ms;
    const due = timers.filter(({ atMs }) => atMs <= now.ms);
    timers = timers.filter((one) => !due.includes(one));
    for (const { work } of due) work();
  };
  const clock = { wallMs: () => now.ms, monoMs: () => now.ms, after };
  const path = process.env["PATH"] ?? "";
  const url = `http://127.0.0.1:${server.port}`;
  const env = { HOME: home, PATH: path, AWS_ENDPOINT_URL: url, NAVARCH_SECRET: "ours", ...more };
  const from = { env, home, region: "us-east-1", profile, file: null, clock };
  const credentials = new Credentials(from);
  const get = async () => {
    const found = await credentials.get();
    return found.kind === "ok" ? found.key.accessKeyId : found.message;
  };
  const warned = whyNoKey({ profile }, env);
  return { credentials, get, step, warned };
}

test("a program gives the key, run as it is quoted, without a shell and without our secrets", async () => {
  const ends = iso(NOW_MS + HOUR_MS);
  const path = program(
    "my key",
    '[ "$1" = "a b" ] || exit 3',
    'echo "${NAVARCH_SECRET:-none}" >&2',
    '[ -z "$NAVARCH_SECRET" ] || exit 4',
    printed("AKIAPROG", { SessionToken: "t", Expiration: ends }),
  );
  config(`[profile p]\ncredential_process = "${path}" 'a b'\n`);
  const { get, step, warned } = openTest("p");
  expect(warned).toBeNull();
  expect(await Promise.all([get(), get()])).toEqual(["AKIAPROG", "AKIAPROG"]);
  expect(runsOf(path)).toBe(1);
  step(HOUR_MS - 301_000);
  await get();
  expect(runsOf(path)).toBe(1);
  // Its key ends in less than five minutes: asked again, and not at each call.
  step(1_000);
  await get();
  await get();
  expect(runsOf(path)).toBe(2);
  step(10_000);
  await get();
  expect(runsOf(path)).toBe(3);
});

test("a key without an end is used until the cloud refuses it", async () => {
  const path = program("p.sh", printed("AKIALONG"));
  config(`[profile p]\ncredential_process = ${path}\n`);
  const { credentials, get, step } = openTest("p");
  await get();
  step(100 * HOUR_MS);
  expect(await get()).toBe("AKIALONG");
  expect(runsOf(path)).toBe(1);
  credentials.forget();
  await get();
  expect(runsOf(path)).toBe(2);
});

test.each([
  [["echo s3cret; echo s3cret >&2; exit 7"], "exit status 7 (run it by hand"],
  [["echo s3cret"], "expected AWS's JSON of version 1, not so at its whole"],
  [[`echo '{"Version":2,"AccessKeyId":"s3cret","SecretAccessKey":"s3cret"}'`], "not so at Version"],
  [[`echo '{"Version":1,"AccessKeyId":"s3cret"}'`], "not so at SecretAccessKey"],
  [[printed("AKIA", { Expiration: "2026-11-22T00:00:00Z" })], "its key ended at 2026-11-22T00:00"],
  [[printed("AKIA", { Expiration: "soon" })], "not so at Expiration"],
  [[printed("AK\\nIA")], "is not printable ASCII"],
])("what a program does wrong is said without what it printed: %p", async (lines, why) => {
  const path = program("p.sh", ...lines);
  config(`[profile p]\ncredential_process = ${path}\n`);
  const { get, step } = openTest("p");
  const said = await get();
  expect(said).toContain("profile p");
  expect(said).toContain(why);
  expect(said).not.toContain("s3cret");
  // A call in the next seconds does not run it again.
  expect(await get()).toBe(said);
  expect(runsOf(path)).toBe(1);
  step(10_000);
  await get();
  expect(runsOf(path)).toBe(2);
});

test("a program that does not end is killed with what it started, and the old key serves", async () => {
  const ends = iso(NOW_MS + HOUR_MS);
  const slow = join(home, "slow");
  const path = program(
    "p.sh",
    `if [ -e ${slow} ]; then echo up >${slow}; sleep 600; fi`,
    printed("AKIAPROG", { Expiration: ends }),
  );
  config(`[profile p]\ncredential_process = ${path}\n`);
  const { get, step } = openTest("p");
  expect(await get()).toBe("AKIAPROG");
  writeFileSync(slow, "");
  step(HOUR_MS - 200_000);
  const late = get();
  const deadline = Date.now() + 20_000;
  while (readFileSync(slow, "utf8") !== "up\n" && Date.now() < deadline) await Bun.sleep(5);
  step(30_000);
  step(2_000);
  expect(await late).toBe("AKIAPROG");
  // After its end nothing serves, and the reason is told.
  step(HOUR_MS);
  const none = get();
  while (runsOf(path) < 3 && Date.now() < deadline) await Bun.sleep(5);
  step(30_000);
  step(2_000);
  expect(await none).toContain("credential_process " + path + ": no answer within 30 s");
});

test.each([
  ["credential_process = pass show aws | head -1", "runs without a shell, which | needs"],
  ["credential_process = ~/bin/key", "which ~ needs"],
  ['credential_process = key "$HOME/x"', "which $ needs"],
  ["credential_process = key 'open", "a quote or a backslash without an end"],
  ["credential_process =", "credential_process is empty"],
  [
    "role_arn = r\nsource_profile = q\nmfa_serial = arn:mfa",
    "mfa_serial asks for a code, and there is no",
  ],
  ["role_arn = r", "role_arn needs source_profile"],
  ["role_arn = r\nsource_profile = none", "source_profile none is missing or holds no"],
  ["role_arn = r\nsource_profile = p", "source_profile p leads back to a profile without keys"],
  ["role_arn = r\ncredential_source = Moon", "credential_source Moon is none of Ec2Instance"],
  ["role_arn = r\nsource_profile = q\nduration_seconds = 1h", "duration_seconds is no number"],
  ["sso_session = corp\nsso_account_id = 1\nsso_role_name = r", "no section [sso-session corp]"],
  ["sso_start_url = u\nsso_region = us-east-1\nsso_account_id = 1", "sso_role_name is missing"],
  ["sso_start_url=u\nsso_region=evil.example\nsso_account_id=1\nsso_role_name=r", "sso_region is"],
  ["login_session = arn:x", "credential_process = aws configure export-credentials --profile p"],
])("%p is refused by name, before any call and at each", async (text, why) => {
  const keys = "[profile q]\naws_access_key_id = AKIAQ\naws_secret_access_key = x\n";
  config(`[profile p]\n${text}\n${keys}`);
  const { get, warned } = openTest("p");
  expect(warned).toContain(why);
  expect(warned).toContain("profile p: ");
  expect(await get()).toBe(warned ?? "");
  expect(cloud.calls).toEqual([]);
});

test("doctor tells what the profile in use is refused for", async () => {
  config("[profile p]\nrole_arn = r\nsource_profile = q\nmfa_serial = arn:mfa\n");
  const clock = { wallMs: () => NOW_MS, monoMs: () => 0, after: () => () => undefined };
  const endpoint = `http://127.0.0.1:${server.port}`;
  const given = { image: "ami-1", region: "us-east-1", profile: "p", endpoint };
  const settings = readAwsSettings(given, { HOME: home });
  if (typeof settings === "string") throw new Error(settings);
  const found = await openAws({ name: "aws", ...settings, fleetId: "f", clock }).inspect([]);
  const told = found.find(({ check }) => check === "credentials");
  expect(told).toMatchObject({ outcome: "fail" });
  expect(told?.message).toContain("profile p: mfa_serial asks for a code");
  expect(cloud.calls).toEqual([]);
});

test("a warning concerns the source in use only", () => {
  config("[default]\nlogin_session = x\n");
  const at = (env: Record<string, string>) => whyNoKey({}, { HOME: home, ...env });
  expect(at({})).toContain("login_session");
  expect(at({ AWS_PROFILE: "other" })).toBeNull();
  expect(at({ AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" })).toBeNull();
  expect(at({ AWS_ROLE_ARN: "a", AWS_WEB_IDENTITY_TOKEN_FILE: "b" })).toBeNull();
});

test("a chain of roles begins at a program and is taken again before it ends", async () => {
  const path = program("p.sh", printed("AKIABASE"));
  config(`[profile base]\ncredential_process = ${path}
[profile r1]\nrole_arn = R1\nsource_profile = base
[profile r2]\nrole_arn = R2\nsource_profile = r1
[profile r3]\nrole_arn = R3\nsource_profile = r2
[profile r4]\nrole_arn = R4\nsource_profile = r3
[profile r5]\nrole_arn = R5\nsource_profile = r4\nduration_seconds = 900\n`);
  const { get, step } = openTest("r5");
  expect(await get()).toBe("ASIAR5");
  const once = ["R1 by AKIABASE for null", "R2 by ASIAR1 for null", "R3 by ASIAR2 for null"];
  once.push("R4 by ASIAR3 for null", "R5 by ASIAR4 for 900");
  expect(cloud.calls).toEqual(once);
  step(HOUR_MS - 301_000);
  await get();
  expect(cloud.calls).toHaveLength(5);
  step(1_000);
  expect(await get()).toBe("ASIAR5");
  expect(cloud.calls).toEqual([...once, ...once]);
});

const SESSION =
  "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = eu-west-1\n";
const SSO = `[profile p]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = gpu\n${SESSION}`;
const cacheOf = (name: string) =>
  join(home, ".aws/sso/cache", `${createHash("sha1").update(name).digest("hex")}.json`);
function login(more: object = {}, name = "corp"): string {
  const path = cacheOf(name);
  const own = { startUrl: "u", region: "eu-west-1", accessToken: "OLD" };
  writeFileSync(path, JSON.stringify({ ...own, expiresAt: iso(NOW_MS + 8 * HOUR_MS), ...more }));
  return path;
}
const RENEWABLE = {
  clientId: "c",
  clientSecret: "cs",
  refreshToken: "r1",
  registrationExpiresAt: iso(NOW_MS + 90 * 24 * HOUR_MS),
};

test("a session of IAM Identity Center gives a role's keys, which are renewed", async () => {
  config(SSO);
  const { get, step } = openTest("p");
  const none = await get();
  expect(none).toContain(`no session in ${cacheOf("corp")}: run aws sso login --profile p`);
  login();
  step(10_000);
  expect(await get()).toBe("ASIAOLD");
  expect(cloud.calls).toEqual(["OLD gpu 123456789012"]);
  // The session has ended before the keys do, so the keys serve to their end.
  step(12 * HOUR_MS - 20_000);
  expect(await get()).toBe("ASIAOLD");
  step(20_000);
  const ended = await get();
  expect(ended).toContain("ended at 2026-11-23T08:00:00.000Z: run aws sso login --profile p");
});

test("a session without [sso-session] is found by its start URL, and a role is taken with it", async () => {
  config(`[profile p]\nsso_start_url = https://s/start\nsso_region = us-east-1
sso_account_id = 1\nsso_role_name = r\n[profile up]\nrole_arn = R1\nsource_profile = p\n`);
  login({ expiresAt: "2026-11-23T09:00:00UTC" }, "https://s/start");
  expect(await openTest("up").get()).toBe("ASIAR1");
  expect(cloud.calls).toEqual(["OLD r 1", "R1 by ASIAOLD for null"]);
});

test("a session that ends is renewed in the file that the AWS CLI reads", async () => {
  config(SSO);
  const path = login({ ...RENEWABLE, expiresAt: iso(NOW_MS + 600_000), other: "kept" });
  expect(await openTest("p").get()).toBe("ASIANEW");
  const [asked = ""] = cloud.calls;
  const grant = { clientId: "c", clientSecret: "cs", refreshToken: "r1" };
  expect(JSON.parse(asked)).toEqual({ ...grant, grantType: "refresh_token" });
  const written: unknown = JSON.parse(readFileSync(path, "utf8"));
  const kept = { ...RENEWABLE, other: "kept", startUrl: "u", refreshToken: "r2" };
  expect(written).toMatchObject({ ...kept, accessToken: "NEW", expiresAt: "2026-11-23T01:00:00Z" });
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a renewal that fails leaves what still lasts, and says what ended", async () => {
  config(SSO);
  cloud.renewal = 503;
  const path = login({ ...RENEWABLE, expiresAt: iso(NOW_MS + 600_000) });
  expect(await openTest("p").get()).toBe("ASIAOLD");
  login({ ...RENEWABLE, expiresAt: iso(NOW_MS) });
  const found = await openTest("p").credentials.get();
  expect(found).toMatchObject({ kind: "failed", class: "unsent" });
  expect(found.kind === "failed" && found.message).toContain("could not be renewed: HTTP 503");
  cloud.renewal = 400;
  const refused = await openTest("p").credentials.get();
  expect(refused).toMatchObject({ kind: "failed", class: "auth" });
  expect(refused.kind === "failed" && refused.message).toContain("run aws sso login --profile p");
  expect(readFileSync(path, "utf8")).toContain('"OLD"');
});

test.each([
  [401, "auth", "the session is no longer valid: run aws sso login --profile p"],
  [403, "auth", "does not give role gpu of account 123456789012"],
  [429, "unsent", "no keys in the answer (HTTP 429)"],
  [500, "unsent", "no keys in the answer (HTTP 500)"],
] as const)("the portal answers HTTP %d", async (status, cls, why) => {
  config(SSO);
  login();
  cloud.portal = status;
  const found = await openTest("p").credentials.get();
  expect(found).toMatchObject({ kind: "failed", class: cls });
  expect(found.kind === "failed" && found.message).toContain(why);
  expect(JSON.stringify(found)).not.toContain("OLD");
});

test("a session's token goes to no address in the clear", async () => {
  config(SSO);
  login();
  const said = await openTest("p", { AWS_ENDPOINT_URL: "http://192.0.2.1" }).get();
  expect(said).toContain("AWS_ENDPOINT_URL_SSO must be an https address");
});
