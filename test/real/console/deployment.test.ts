/** The page of the cluster on a real API server, in a real browser: acceptance A6. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { join } from "node:path";
import type { ConsoleNode } from "../../../schema/console/cluster.ts";
import { buildStale } from "../../fixture/plane/plane.ts";
import { whyNoCluster } from "../kubernetes/binary.ts";
import { findBarriers, findChromium, logIn, openChromium, openReader } from "./browser.ts";
import { overflowOf } from "./browser.ts";
import { ConsoleBed, FILES } from "./kube-bed.ts";

const chromium = findChromium();
const missing = chromium === null ? "chromium cannot be installed" : await whyNoCluster();
if (missing !== null) console.error(`SKIPPED: the page of a cluster in a browser: ${missing}`);

test("a Kubernetes API server and a browser are here", () => {
  if (process.env["CI"] === "true") expect(missing).toBeNull();
});

const SECRET = "a shared secret of a build server";

describe.skipIf(missing !== null)("the page of the cluster", () => {
  let bed: ConsoleBed;
  let html = "";
  beforeAll(async () => {
    await buildStale();
    bed = await ConsoleBed.open();
    await bed.simulate(join(FILES, "twelve-pods.yml"));
  }, 600_000);
  afterAll(async () => {
    expect(await bed?.close()).toEqual([]);
  }, 120_000);

  /** A loopback proxy adds the credential; no other host has a name. */
  async function dump(path: string): Promise<string> {
    const proxy = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0 },
      fetch: (request) => {
        const { pathname, search } = new URL(request.url);
        return bed.plane.fetch(`${pathname}${search}`);
      },
    });
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1440,2400"];
    flags.push("--virtual-time-budget=4000", "--dump-dom");
    flags.push("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    const command = [chromium ?? "", ...flags, `http://127.0.0.1:${proxy.port}${path}`];
    const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
    const text = await new Response(child.stdout).text();
    await child.exited;
    await proxy.stop(true);
    return text;
  }

  test("A6: every section is there, and nothing comes from elsewhere", async () => {
    html = await dump("/deployment");
    for (const heading of ["Nodes", "Pods", "Events", "Flux", "Pipelines"]) {
      expect([heading, new RegExp(`>[^<]*${heading}`).test(html)]).toEqual([heading, true]);
    }
    const away = [...html.matchAll(/(?:src|href)="(https?:\/\/[^"]+)/g)].map(([, to = ""]) => to);
    expect(away.filter((to) => !to.includes("127.0.0.1"))).toEqual([]);
    expect(html).toContain("Flux is not installed here");
    expect(html).toContain("web-");
  }, 60_000);

  test("A6b, A6c: a person's cordon shows, and is not lifted from here", async () => {
    const query = ["-l", "type=kwok", "-o", "jsonpath={.items[0].metadata.name}"];
    const name = await bed.kubectl("get", "no", ...query);
    await bed.kubectl("cordon", name);
    const answer = await bed.eventually("kubernetes/nodes", (shown) => {
      const nodes = shown.json() as ConsoleNode[];
      const found = nodes.find((one) => one.name === name);
      return found?.status === "Ready,SchedulingDisabled";
    });
    expect(answer.status).toBe(200);
    const row = new RegExp(`${name}[^]*?Ready,SchedulingDisabled`);
    expect(await dump("/deployment")).toMatch(row);
    const refused = await bed.post(`kubernetes/nodes/${name}/uncordon`, { reason: "x" });
    expect(refused.status).toBe(409);
  }, 60_000);

  test("C26, C30: pages of a pod have no barrier and no width; its restart is confirmed", async () => {
    const browser = await openChromium(chromium ?? "");
    const url = bed.plane.url;
    try {
      for (const setting of [{ width: 1_440 }, { width: 375, dark: true }]) {
        const reader = await openReader(browser, url, { ...setting, still: true });
        await logIn(reader, bed.plane.adminToken, "/deployment");
        const link = reader.page.locator("#pods-rows a", { hasText: /^web-/ }).first();
        const pod = (await link.getAttribute("href")) ?? "";
        for (const path of ["/deployment", pod, `${pod}/logs`, `${pod}/events`, `${pod}/restart`]) {
          await reader.page.goto(path);
          expect([path, await findBarriers(reader)]).toEqual([path, []]);
          expect([path, await overflowOf(reader)]).toEqual([path, 0]);
          const folder = process.env["NAVARCH_SHOTS"];
          if (folder === undefined) continue;
          const name = `${path.replaceAll(/\W+/g, "-").replace(/web-\w+-\w+/, "web")}`;
          const file = `${folder}/${name}-${setting.width}.png`;
          await reader.page.screenshot({ path: file, fullPage: true });
        }
        expect(reader.problems).toEqual([]);
        await reader.context.close();
      }
      const reader = await openReader(browser, url, { script: false });
      await logIn(reader, bed.plane.adminToken, "/deployment?namespace=kai-ml");
      const link = reader.page.locator("#pods-rows a", { hasText: /^web-/ }).first();
      const pod = (await link.getAttribute("href")) ?? "";
      await reader.page.goto(`${pod}/restart`);
      expect(await reader.page.locator("#confirm").innerText()).toContain("kai-ml/web-");
      await reader.page.locator("#confirm button").click();
      await reader.page.locator(".notice").waitFor();
      const name = pod.split("/").at(-1) ?? "";
      const [row] = (await bed.call("audit?verb=restart&limit=1")).json() as { name: string }[];
      expect(row).toMatchObject({ name, namespace: "kai-ml", result: "ok" });
      await reader.context.close();
    } finally {
      await browser.close();
    }
  }, 120_000);

  test("C33: the reading of a log on the page is a row of the audit", async () => {
    const query = ["-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}"];
    const name = await bed.kubectl("-n", "kai-ml", "get", "pod", ...query);
    await bed.plane.fetch(`/deployment/pod/kai-ml/${name}/logs`);
    const rows = (await bed.call("audit?verb=logs&limit=1")).json() as object[];
    expect(rows[0]).toMatchObject({ kind: "pod", namespace: "kai-ml", name });
  });
});

test("C77: the signature of a report is what openssl makes of it", () => {
  const body = '{"id":"run-7"}';
  const command = `printf %s '${body}' | openssl dgst -sha256 -hmac '${SECRET}' -hex`;
  const made = Bun.spawnSync(["sh", "-c", command]).stdout.toString().trim();
  expect(made).toEndWith(createHmac("sha256", SECRET).update(body).digest("hex"));
});
