/** What a pool sets over its provider's settings: read, refused, merged and printed. */
import { describe, expect, test } from "bun:test";
import type { Config } from "../../schema/config.ts";
import { convertConfig } from "./convert.ts";
import { diffConfigs } from "./diff.ts";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

const AWS =
  "{ type: aws, region: us-east-1, image: ami-1, subnets: [us-east-1a=subnet-1], efa_interfaces: 4, prices: [p5.48xlarge=55, p4d.24xlarge=22] }";
const GCP =
  "{ type: gcp, project: team-gpu, image: family/a, network: n, subnet: s, prices: [a3-highgpu-8g=88] }";
const SERVER = 'server: { address: "127.0.0.1:1" }';
const SIZE = "scaling: { min_nodes: 1, max_nodes: 2 }";

function read(pool: string): { config: Config | null; said: string[] } {
  const text = `${SERVER}\nproviders: { aws: ${AWS}, gcp: ${GCP}, lambda: {} }\npools: [{ name: p, ${SIZE}, ${pool} }]`;
  const { config, problems } = readConfig([{ name: "c", text }]);
  const serious = problems.filter(({ severity }) => severity !== "note");
  return { config, said: serious.map((one) => formatProblem(one).replace(/^c:\d+:\d+: /, "")) };
}
const settingsOf = (pool: string) =>
  read(pool).config?.pools[0]?.providers.map(({ settings }) => settings);

const P5 = "instance_type: p5.48xlarge";

describe("a pool's own settings", () => {
  test("are read by the keys of its provider's type, and stand at its place", () => {
    const own = `image: ami-2, efa_interfaces: 32, disk_gb: 500, prices: [p5.48xlarge=31.5], zones: [us-east-1a]`;
    const found = read(`provider: aws, ${P5}, ${own}`);
    expect(found.said).toEqual([]);
    expect(found.config?.pools[0]?.providers[0]?.settings).toEqual({
      image: "ami-2",
      efaInterfaces: 32,
      diskGb: 500,
      prices: "p5.48xlarge=31.5",
    });
    expect(settingsOf(`provider: aws, ${P5}, zones: [us-east-1a]`)).toEqual([undefined]);
  });

  test("are the entry's, over the pool's", () => {
    const entries =
      "{ name: aws, instance_type: p5.48xlarge, image: ami-3 }, { name: gcp, instance_type: a3-highgpu-8g, zones: [us-central1-a] }";
    const found = settingsOf(`${P5}, zones: [us-east-1a], disk_gb: 100, providers: [${entries}]`);
    expect(found).toEqual([{ diskGb: 100, image: "ami-3" }, { diskGb: 100 }]);
  });

  test.each([
    [
      "of another type",
      `provider: lambda, instance_type: gpu_8x_h100_sxm5, region: us-east-1, image: ami-1`,
      /^pools\[0\]\.image: is not a setting of a lambda provider \(it belongs to gcp, aws\)$/,
    ],
    [
      "of one of several types",
      `instance_type: h100-8x, region: us-east-1, efa_interfaces: 2, providers: [{ name: aws, zones: [us-east-1a] }, { name: lambda }]`,
      /^pools\[0\]\.efa_interfaces: is not a setting of a lambda provider \(write it in the entry of providers that it is for: aws\)$/,
    ],
    [
      "of another type, in an entry",
      `instance_type: h100-8x, providers: [{ name: gcp, zones: [us-central1-a], efa_interfaces: 2 }]`,
      /^pools\[0\]\.providers\[0\]\.efa_interfaces: is not a setting of a gcp provider/,
    ],
    [
      "that is misspelt",
      `provider: aws, ${P5}, zones: [us-east-1a], disk_gbs: 5`,
      /^pools\[0\]\.disk_gbs: unknown field \(did you mean "disk_gb"\?\)$/,
    ],
    [
      "that is misspelt in an entry",
      `instance_type: h100-8x, providers: [{ name: aws, zones: [us-east-1a], efa_interface: 2 }]`,
      /^pools\[0\]\.providers\[0\]\.efa_interface: unknown field \(did you mean "efa_interfaces"\?\)$/,
    ],
    [
      "that only a provider has",
      `provider: aws, ${P5}, zones: [us-east-1a], profile: x`,
      /^pools\[0\]\.profile: /,
    ],
    [
      "out of bounds",
      `provider: aws, ${P5}, zones: [us-east-1a], efa_interfaces: 33`,
      /^pools\[0\]\.efa_interfaces: .*32/,
    ],
    [
      "without a price",
      `provider: aws, ${P5}, zones: [us-east-1a], prices: [p5.48xlarge]`,
      /^pools\[0\]\.prices: expected TYPE=DOLLARS/,
    ],
    [
      "of a pool that buys nothing",
      `adopt: true, image: ami-1`,
      /^pools\[0\]\.image: is for purchases, and the pool names no provider/,
    ],
  ])("%s is one error", (_what, pool, expected) => {
    const { config, said } = read(pool);
    expect(config).toBeNull();
    expect(said).toEqual([expect.stringMatching(expected)]);
  });

  test.each([
    [
      "an image by name",
      `provider: aws, ${P5}, zones: [us-east-1a], image: ubuntu`,
      /^pools\[0\]\.image: warning: "ubuntu" is not an id/,
    ],
    [
      "EFA without a subnet",
      `provider: bare, ${P5}, efa_interfaces: 2`,
      /^pools\[0\]\.efa_interfaces: warning: efa_interfaces needs a subnet/,
    ],
    [
      "a zone that the pool's subnets lack",
      `provider: aws, ${P5}, zones: [us-east-1b], subnets: [us-east-1c=subnet-2]`,
      /^pools\[0\]\.zones: warning: zone us-east-1b has no subnet/,
    ],
    [
      "no image anywhere",
      `provider: bare, ${P5}`,
      /^pools\[0\]\.image: warning: neither the pool nor provider "bare" names one, so nothing is bought there/,
    ],
  ])("are checked as the provider's are: %s", (_what, pool, expected) => {
    const text = `${SERVER}\nproviders: { aws: ${AWS}, bare: { type: aws, region: us-east-2 } }\npools: [{ name: p, ${SIZE}, ${pool} }]`;
    const { problems } = readConfig([{ name: "c", text }]);
    const said = problems.map((one) => formatProblem(one).replace(/^c:\d+:\d+: /, ""));
    expect(said).toContainEqual(expect.stringMatching(expected));
  });

  test("a subnet of the pool leaves no zone without one, and its image is enough", () => {
    const text = `${SERVER}\nproviders: { aws: { type: aws, region: us-east-1 } }\npools: [{ name: p, ${SIZE}, provider: aws, ${P5}, image: ami-1, subnet: subnet-2 }]`;
    const { problems } = readConfig([{ name: "c", text }]);
    expect(
      problems.filter(({ severity, path }) => severity !== "note" && path.startsWith("pools")),
    ).toEqual([]);
  });

  test("tell the price that a ceiling needs", () => {
    const priced = read(
      `provider: aws, instance_type: p5en.48xlarge, zones: [us-east-1a], max_price: 60`,
    );
    expect(priced.said).toContainEqual(expect.stringContaining("tells no price of p5en.48xlarge"));
    const own = read(
      `provider: aws, instance_type: p5en.48xlarge, zones: [us-east-1a], max_price: 60, prices: [p5en.48xlarge=58]`,
    );
    expect(own.said).toEqual([]);
  });

  test("are printed and read back, in both dialects, and a change is shown", () => {
    const short = read(
      `provider: aws, ${P5}, zones: [us-east-1a], image: ami-2, security_groups: [sg-1, sg-2], prices: [p5.48xlarge=31.5]`,
    ).config;
    const long = read(
      `instance_type: h100-8x, strategy: cost, providers: [{ name: aws, zones: [us-east-1a], image: ami-2 }, { name: gcp, zones: [us-central1-a], disk_gb: 9 }]`,
    ).config;
    for (const config of [short, long]) {
      if (config === null) throw new Error("not read");
      for (const dialect of ["list", "map"] as const) {
        const again = readConfig([{ name: "c", text: convertConfig(config, dialect) }]);
        expect(again.config?.pools[0]?.providers).toEqual(config.pools[0]?.providers ?? []);
      }
    }
    const other = read(
      `provider: aws, ${P5}, zones: [us-east-1a], image: ami-9, security_groups: [sg-1, sg-2], prices: [p5.48xlarge=31.5]`,
    ).config;
    if (short === null || other === null) throw new Error("not read");
    expect(JSON.stringify(diffConfigs(short, other))).toContain("ami-9");
  });
});
