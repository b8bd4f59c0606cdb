/** The routes of the installer and the releases, over a socket. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createPublicKey, verify } from "node:crypto";
import { formatInstaller } from "../../bootstrap/install/script.ts";
import { parseRange } from "../../reconciler/http/route/install.ts";
import { openInstall } from "../../reconciler/http/route/install.ts";
import { openReleases, parseSums } from "../../reconciler/http/route/release-folder.ts";
import { openReleaseKey } from "../../reconciler/security/release-key.ts";
import { KeyTrust } from "../../agent/report/key-trust.ts";
import { openStateFiles } from "../../agent/spool/state-file.ts";
import { agentOf, type Bench, openBench } from "./bench.ts";

let open: Bench | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

const NAME = "navarch-node-linux-amd64";

describe("installRoutes()", () => {
  test("serves the guide's download address, the release's and the newest's", async () => {
    open = await openBench();
    open.release("0.1.0");
    const guide = "/NavarchProject/navarch/releases";
    for (const path of [
      `${guide}/latest/download/${NAME}`,
      `${guide}/download/v0.1.0/${NAME}`,
      `/releases/latest/${NAME}`,
      `/releases/0.1.0/${NAME}`,
      `/releases/v0.1.0/${NAME}`,
    ]) {
      const answer = await fetch(`${open.url}${path}`);
      expect([path, answer.status, await answer.text()]).toEqual([path, 200, agentOf("0.1.0")]);
      expect(answer.headers.get("content-length")).toBe(String(agentOf("0.1.0").length));
    }
  });

  test("signs the sums with the key that it shows", async () => {
    open = await openBench();
    open.release("0.1.0");
    const get = async (name: string) => (await fetch(`${open?.url}/releases/${name}`)).bytes();
    const sums = await get("latest/SHA256SUMS");
    const signature = await get("latest/SHA256SUMS.sig");
    const pem = Buffer.from(await get("key.pem")).toString();
    expect(signature).toHaveLength(64);
    expect(verify(null, sums, createPublicKey(pem), signature)).toBe(true);
    expect(verify(null, Buffer.from("other"), createPublicKey(pem), signature)).toBe(false);
    expect([...parseSums(Buffer.from(sums).toString()).keys()]).toContain("VERSION");
  });

  test("answers HEAD, a tag that is known, and ranges", async () => {
    open = await openBench();
    open.release("0.1.0");
    const url = `${open.url}/releases/0.1.0/${NAME}`;
    const text = agentOf("0.1.0");
    const head = await fetch(url, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect(head.headers.get("accept-ranges")).toBe("bytes");
    expect(head.headers.get("content-length")).toBe(String(text.length));
    const etag = head.headers.get("etag") ?? "";
    expect((await fetch(url, { headers: { "If-None-Match": etag } })).status).toBe(304);
    expect((await fetch(url, { headers: { "If-None-Match": '"other"' } })).status).toBe(200);
    const part = await fetch(url, { headers: { Range: "bytes=10-19" } });
    expect([part.status, await part.text()]).toEqual([206, text.slice(10, 20)]);
    expect(part.headers.get("content-range")).toBe(`bytes 10-19/${text.length}`);
    expect(part.headers.get("content-length")).toBe("10");
    const rest = await fetch(url, { headers: { Range: "bytes=150-", "If-Range": etag } });
    expect([rest.status, await rest.text()]).toEqual([206, text.slice(150)]);
    const changed = await fetch(url, { headers: { Range: "bytes=150-", "If-Range": '"old"' } });
    expect([changed.status, await changed.text()]).toEqual([200, text]);
    const beyond = await fetch(url, { headers: { Range: "bytes=9999-" } });
    expect([beyond.status, beyond.headers.get("content-range")]).toEqual([
      416,
      `bytes */${text.length}`,
    ]);
  });

  test("says clearly what it does not have, and nothing outside the release", async () => {
    open = await openBench();
    open.release("0.1.0", ["amd64"]);
    writeFileSync(join(open.folder, "release/0.1.0/secret"), "not listed");
    const get = async (path: string): Promise<[number, string]> => {
      const answer = await fetch(`${open?.url}${path}`);
      return [answer.status, await answer.text()];
    };
    expect(await get("/releases/latest/navarch-node-linux-arm64")).toEqual([
      404,
      "release 0.1.0 of this control plane has no navarch-node-linux-arm64; it has " + `${NAME}\n`,
    ]);
    expect(await get("/releases/7.7.7/SHA256SUMS")).toEqual([
      404,
      "this control plane has no release 7.7.7\n",
    ]);
    for (const path of [
      "/releases/0.1.0/secret",
      "/releases/0.1.0/..%2f..%2fkey.pem",
      "/releases/..%2f/key.pem",
      "/releases/%2e%2e/key.pem",
      "/releases/0.1.0%2f..%2f/SHA256SUMS",
      "/releases/0.1.0/%00",
    ]) {
      const [status, text] = await get(path);
      expect([path, status]).toEqual([path, 404]);
      expect(text).not.toContain("PRIVATE");
    }
    const post = await fetch(`${open.url}/install.sh`, { method: "POST", body: "x" });
    expect(post.status).toBe(404);
  });

  test("writes no strange host into the script, and believes a proxy that ends TLS", async () => {
    open = await openBench();
    open.release("0.1.0");
    const line = async (headers: Record<string, string>): Promise<string> => {
      const curl = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
      const { out } = (await open?.run(["curl", "-s", ...curl, `${open.url}/install.sh`])) ?? {};
      return /^SERVER_DEFAULT=.*$/m.exec(out ?? "")?.[0] ?? out ?? "";
    };
    expect(await line({ Host: "cp.example:50051" })).toBe(
      "SERVER_DEFAULT='http://cp.example:50051'",
    );
    expect(await line({ Host: "cp.example", "X-Forwarded-Proto": "https" })).toBe(
      "SERVER_DEFAULT='https://cp.example'",
    );
    for (const host of ["x'$(id)'", "x';id;'", "a b", "x\\", "x/`id`"]) {
      expect(await line({ Host: host })).not.toContain("id");
    }
  });
});

describe("openInstall()", () => {
  test("gives away the agent beside it where there is no release, with sums of its own", async () => {
    open = await openBench();
    const beside = join(open.folder, "beside");
    mkdirSync(beside);
    const path = join(beside, "navarch-node");
    const from = { state: open.folder, beside, version: "0.1.0", architecture: "x64" };
    const ports = () =>
      openInstall({ ...from, seed: () => new Uint8Array(32), server: () => null });
    expect(await ports().releases.latest()).toBeNull();
    writeFileSync(path, agentOf("0.1.0"));
    const { releases } = ports();
    const release = await releases.latest();
    expect([release?.version, [...(release?.files.keys() ?? [])]]).toEqual([
      "0.1.0",
      ["VERSION", NAME, "navarch-node.service"],
    ]);
    expect(release?.files.get(NAME)?.source).toEqual({ path });
    const digest = (text: string) => new Bun.CryptoHasher("sha256").update(text).digest("hex");
    expect(parseSums(release?.sums ?? "").get(NAME)).toBe(digest(agentOf("0.1.0")));
    writeFileSync(path, agentOf("0.1.0-changed"));
    const again = await releases.find("0.1.0");
    expect(parseSums(again?.sums ?? "").get(NAME)).toBe(digest(agentOf("0.1.0-changed")));
    // A folder of that version wins over what was made up.
    open.release("0.1.0");
    expect((await releases.latest())?.files.has("navarch-node-linux-arm64")).toBe(true);
  });
});

describe("openReleases()", () => {
  test("prefers the own version, else the newest by number", async () => {
    open = await openBench();
    for (const version of ["0.9.0", "0.10.0", "0.10.0-rc.1"]) open.release(version);
    // Folders of somebody's; they have no place in an order, and are not in its way.
    for (const version of ["9zz", "1.2.3~rc1", "9.9.9.9"]) open.release(version);
    const latest = async (own: string) => {
      const folders = [join(open?.folder ?? "", "release"), "/nonexistent"];
      return (await openReleases(folders, { version: own, files: new Map() }).latest())?.version;
    };
    expect(await latest("0.9.0")).toBe("0.9.0");
    expect(await latest("1.0.0")).toBe("0.10.0");
    expect(await openReleases([], { version: "1.0.0", files: new Map() }).latest()).toBeNull();
  });
});

describe("openReleaseKey()", () => {
  test("makes one for its owner alone, keeps it, and refuses anything else", async () => {
    open = await openBench();
    const path = join(open.folder, "own.pem");
    const seed = () => crypto.getRandomValues(new Uint8Array(32));
    const first = openReleaseKey(path, seed);
    expect([first.fresh, (statSync(path).mode & 0o777).toString(8)]).toEqual([true, "600"]);
    const again = openReleaseKey(path, seed);
    expect([again.fresh, again.key.fingerprint]).toEqual([false, first.key.fingerprint]);
    expect(first.key.fingerprint).toMatch(/^sha256:[0-9a-f]{64}$/);
    const bad = join(open.folder, "bad.pem");
    writeFileSync(bad, "secret words");
    expect(() => openReleaseKey(bad, seed)).toThrow("expected a private key");
    expect(readFileSync(path, "utf8")).toContain("BEGIN PRIVATE KEY");
  });
});

describe("openReleaseKey() after a rotation", () => {
  const seed = () => crypto.getRandomValues(new Uint8Array(32));

  test("shows the key with what older ones vouch for, at most four of them", async () => {
    open = await openBench();
    const { folder } = open;
    const older = [1, 2, 3, 4, 5].map(
      (n) => openReleaseKey(join(folder, `old-${n}.pem`), seed).key,
    );
    const texts = older.map((_, at) => readFileSync(join(folder, `old-${at + 1}.pem`), "utf8"));
    writeFileSync(join(folder, "release-key.previous.pem"), texts.join("\n"));
    const { key } = openReleaseKey(join(folder, "release-key.pem"), seed);
    expect(key.shown.key).toBe(key.publicBase64);
    const by = (key.shown.vouched ?? []).map((one) => one.by);
    expect(by).toEqual(older.slice(0, 4).map((one) => one.publicBase64));
    // An agent that knows the second takes it.
    const [, second = key] = older;
    const files = openStateFiles(folder);
    const enrolled = [{ fingerprint: second.fingerprint, source: "enrolment" as const }];
    const log = (): void => undefined;
    const from = { nodeId: "n", base: "http://c:1", enrolled, files, now: () => 0, log };
    const trust = new KeyTrust(from);
    trust.shown(key.shown);
    expect(trust.view().key).toBe(key.fingerprint);
    writeFileSync(join(folder, "release-key.previous.pem"), "no key");
    expect(() => openReleaseKey(join(folder, "release-key.pem"), seed)).toThrow(
      "release-key.previous",
    );
  });
});

describe("formatInstaller()", () => {
  test("refuses a value that could end the quotes", () => {
    const good = { server: "https://a:1", key: "AAAA", sums: null };
    expect(formatInstaller(good)).toContain("\nSERVER_DEFAULT='https://a:1'\n");
    expect(() => formatInstaller({ ...good, server: "https://a'" })).toThrow("SERVER_DEFAULT");
    expect(() => formatInstaller({ ...good, key: "'" })).toThrow("RELEASE_KEY");
    const sums = { version: "1 2", sha256: "0".repeat(64) };
    expect(() => formatInstaller({ ...good, sums })).toThrow("RELEASE_SUMS");
    expect(() => formatInstaller(good, "#!/bin/sh\n")).toThrow("expected one line");
  });
});

describe("parseRange()", () => {
  test("reads one range, leaves the rest", () => {
    const cases: [string | undefined, ReturnType<typeof parseRange>][] = [
      [undefined, null],
      ["bytes=0-0", { from: 0, to: 1 }],
      ["bytes=5-", { from: 5, to: 10 }],
      ["bytes=-3", { from: 7, to: 10 }],
      ["bytes=-30", { from: 0, to: 10 }],
      ["bytes=2-99", { from: 2, to: 10 }],
      ["bytes=10-", "unsatisfiable"],
      ["bytes=-0", "unsatisfiable"],
      ["bytes=5-2", null],
      ["bytes=0-1,3-4", null],
      ["bytes=-", null],
      ["items=0-1", null],
    ];
    for (const [header, range] of cases)
      expect([header, parseRange(header, 10)]).toEqual([header, range]);
    expect(parseRange("bytes=-1", 0)).toBe("unsatisfiable");
  });
});
