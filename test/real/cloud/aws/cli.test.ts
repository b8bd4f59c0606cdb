/** What a person runs before the first purchase, against moto behind the proxy. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json, navarch } from "../../../cli/spawn.ts";
import { EC2_KEY, EC2_SECRET, Ec2Proxy } from "./proxy.ts";
import { IMAGE, openMoto } from "./subject.ts";

const moto = await openMoto();
const folder = mkdtempSync(join(tmpdir(), "navarch-aws-cli-"));
afterAll(async () => {
  await moto?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const KEYS = { AWS_ACCESS_KEY_ID: EC2_KEY, AWS_SECRET_ACCESS_KEY: EC2_SECRET };

test.skipIf(moto === null)(
  "the checks find a wrong key, type and image, and a real purchase works",
  async () => {
    if (moto === null) return;
    await moto.reset();
    const proxy = new Ec2Proxy(moto, Date.now);
    const config = join(folder, "navarch.yaml");
    const write = (image: string, type: string, more = "") =>
      writeFileSync(
        config,
        `server: { address: "127.0.0.1:1" }
providers: { aws: { region: us-east-1, image: ${image}, endpoint: "${proxy.url}", settle: 3s } }
pools:
  - { name: p, provider: aws, zones: [us-east-1a], instance_type: ${type},
      scaling: { min_nodes: 0, max_nodes: 3 }${more} }
`,
      );
    const doctor = async (env: Record<string, string>) => {
      const words = ["doctor", "providers", "--config", config, "-o", "json"];
      const { code, out } = await navarch(words, env);
      const rows = json(out) as { check: string; outcome: string; message: string }[];
      const failed = rows.filter(({ outcome }) => outcome === "fail");
      return { code, failed: failed.map(({ check }) => check), text: out };
    };
    write(IMAGE, "p5.48xlarge");
    expect(await doctor(KEYS)).toMatchObject({ code: 0, failed: [] });
    const wrong = await doctor({ ...KEYS, AWS_ACCESS_KEY_ID: "AKIAWRONG" });
    expect(wrong.code).toBe(1);
    expect(wrong.text).toContain("credentials of AWS_ACCESS_KEY_ID");
    expect(wrong.text).not.toContain(EC2_SECRET);
    write("ami-00000000", "u-24tb1.metal");
    const odd = await doctor(KEYS);
    expect(odd.failed).toContain("image");
    expect(odd.failed).toContain("instance type");
    expect(proxy.reality().asks).toBe(0);

    // What only the account knows: a key pair, a subnet and a security group.
    write(IMAGE, "p5.48xlarge", ", ssh_keys: [nobody]");
    const key = await doctor(KEYS);
    expect([key.code, key.failed]).toEqual([1, ["ssh key"]]);
    expect(key.text).toContain("nobody");
    expect(proxy.reality().asks).toBe(0);

    write(IMAGE, "p5.48xlarge");
    const buy = ["--buy", "p5.48xlarge", "--region", "us-east-1", "--zone", "us-east-1a", "--yes"];
    const words = ["provider", "check", "aws", "--config", config, ...buy, "-o", "json"];
    const { code, out, err } = await navarch(words, KEYS);
    expect({ code, err }).toMatchObject({ code: 0 });
    const rows = json(out) as { check: string; outcome: string }[];
    expect(rows.filter(({ outcome }) => outcome === "fail")).toEqual([]);
    expect(rows.map(({ check }) => check)).toContain("repeat");
    expect(proxy.reality()).toMatchObject({ live: [], doubles: [] });
    expect(proxy.reality().terminated).toHaveLength(1);
    expect(await proxy.audit()).toEqual([]);
    await proxy.stop();
  },
  60_000,
);
