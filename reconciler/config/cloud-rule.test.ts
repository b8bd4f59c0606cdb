/** Configurations that no cloud can serve as written: each says so, at its place. */
import { describe, expect, test } from "bun:test";
import { formatProblem } from "./problem.ts";
import { readConfig } from "./read.ts";

const AWS =
  "{ region: us-east-1, image: ami-1, security_groups: [sg-1], prices: [p5.48xlarge=55] }";
const LINES = ['server: { address: "127.0.0.1:1" }'];

/** The warnings and errors of one pool `p` at one provider. */
function problems(provider: string, settings: string, pool: string, more = ""): string[] {
  const text = [
    ...LINES,
    ...(more === "" ? [] : [more]),
    `providers: { ${provider}: ${settings} }`,
    `pools: [{ name: p, provider: ${provider}, scaling: { min_nodes: 1, max_nodes: 2 }, ${pool} }]`,
  ].join("\n");
  const { problems: found } = readConfig([{ name: "c", text }]);
  const serious = found.filter(({ severity }) => severity !== "note");
  return serious.map((one) => formatProblem(one).replace(/^c:\d+:\d+: /, ""));
}

const P5 = "instance_type: p5.48xlarge";
const GPU = "instance_type: gpu_8x_h100_sxm5, region: us-east-1";
const A3 = "instance_type: a3-highgpu-8g";
const GCP = "{ project: team-gpu, image: family/gpu, prices: [a3-highgpu-8g=88] }";

describe("what is right passes without a word", () => {
  test.each([
    ["aws", AWS, `${P5}, zones: [us-east-1a, us-east-1b]`],
    ["aws", AWS, `${P5}, zones: [us-east-1-bos-1a], ssh_keys: [ops]`],
    [
      "aws",
      "{ region: us-east-1, image: ami-1, subnets: [us-east-1a=subnet-1] }",
      `${P5}, zones: [us-east-1a]`,
    ],
    [
      "aws",
      "{ region: us-east-1, image: ami-1, subnets: [us-east-1a=subnet-1], subnet: subnet-2 }",
      `${P5}, zones: [us-east-1b]`,
    ],
    ["aws", AWS, `${P5}, market: spot, max_price: 30`],
    ["lambda", "{}", `${GPU}, ssh_keys: [ops]`],
    ["gcp", GCP, `${A3}, zones: [us-central1-a], ssh_keys: ["ubuntu:ssh-ed25519 AAAAC3"]`],
    ["gcp", GCP, `${A3}, region: us-central1, market: spot`],
    [
      "coreweave",
      "{ prices: [gd-8xh100ib-i128=49] }",
      "instance_type: gd-8xh100ib-i128, market: spot",
    ],
  ])("%s %s %s", (provider, settings, pool) => {
    expect(problems(provider, settings, pool)).toEqual([]);
  });
});

describe("what cannot be bought is a warning with its place", () => {
  test.each<[string, string, string, string, RegExp]>([
    [
      "a zone without a subnet",
      "aws",
      "{ region: us-east-1, image: ami-1, subnets: [us-east-1a=subnet-1] }",
      `${P5}, zones: [us-east-1a, us-east-1b]`,
      /^pools\[0\]\.zones: warning: zone us-east-1b has no subnet: .*us-east-1a/,
    ],
    [
      "no zone beside subnets",
      "aws",
      "{ region: us-east-1, image: ami-1, subnets: [us-east-1a=subnet-1] }",
      P5,
      /^pools\[0\]\.zones: warning: the pool names no zone/,
    ],
    [
      "another region of EC2",
      "aws",
      AWS,
      `${P5}, region: us-west-2`,
      /^pools\[0\]\.region: warning: .*buys in us-east-1 only, not in us-west-2/,
    ],
    [
      "a region of another cloud",
      "aws",
      AWS,
      `${P5}, region: us-central1`,
      /^pools\[0\]\.region: warning: "us-central1" is not a region of EC2/,
    ],
    [
      "a region of EC2 at Google",
      "gcp",
      GCP,
      `${A3}, region: us-east-1, zones: [us-central1-a]`,
      /^pools\[0\]\.region: warning: "us-east-1" is not a region of Compute Engine/,
    ],
    [
      "a zone as Lambda's region",
      "lambda",
      "{}",
      "instance_type: gpu_8x_h100_sxm5, region: us-east-1a",
      /^pools\[0\]\.region: warning: "us-east-1a" is not a region of Lambda/,
    ],
    [
      "a zone of another region",
      "aws",
      AWS,
      `${P5}, zones: [us-west-2a]`,
      /^pools\[0\]\.zones: warning: zone us-west-2a is not in us-east-1/,
    ],
    [
      "a zone of a longer region",
      "aws",
      AWS,
      `${P5}, zones: [us-east-11a]`,
      /^pools\[0\]\.zones: warning: zone us-east-11a is not in us-east-1/,
    ],
    [
      "a zone of another region at Google",
      "gcp",
      GCP,
      `${A3}, region: us-central1, zones: [us-east1-b]`,
      /^pools\[0\]\.zones: warning: zone us-east1-b is not in us-central1/,
    ],
    [
      "a region as EC2's zone",
      "aws",
      AWS,
      `${P5}, zones: [us-east-1]`,
      /^pools\[0\]\.zones: warning: "us-east-1" is a region, not a zone/,
    ],
    [
      "a region as Google's zone",
      "gcp",
      GCP,
      `${A3}, zones: [us-central1]`,
      /^pools\[0\]\.zones: warning: "us-central1" is a region, not a zone/,
    ],
    [
      "zones at Lambda",
      "lambda",
      "{}",
      `${GPU}, zones: [us-east-1a]`,
      /^pools\[0\]\.zones: warning: Lambda has no zones/,
    ],
    [
      "two keys at EC2",
      "aws",
      AWS,
      `${P5}, ssh_keys: [a, b]`,
      /^pools\[0\]\.ssh_keys: warning: EC2 takes one SSH key, and 2 are written/,
    ],
    [
      "two keys at Lambda",
      "lambda",
      "{}",
      `${GPU}, ssh_keys: [a, b]`,
      /^pools\[0\]\.ssh_keys: warning: Lambda takes one SSH key/,
    ],
    [
      "a key's text at EC2",
      "aws",
      AWS,
      `${P5}, ssh_keys: ["ssh-ed25519 AAAAC3 me@host"]`,
      /^pools\[0\]\.ssh_keys: warning: EC2 takes the name of a key/,
    ],
    [
      "a user's key at Lambda",
      "lambda",
      "{}",
      `${GPU}, ssh_keys: ["ubuntu:ssh-rsa AAAAB3"]`,
      /^pools\[0\]\.ssh_keys: warning: Lambda takes the name of a key/,
    ],
    [
      "a key's name at Google",
      "gcp",
      GCP,
      `${A3}, zones: [us-central1-a], ssh_keys: [ops]`,
      /^pools\[0\]\.ssh_keys: warning: Compute Engine takes USER:KEY/,
    ],
    [
      "spot at Lambda",
      "lambda",
      "{}",
      `${GPU}, market: spot`,
      /^pools\[0\]\.market: warning: provider "lambda" \(Lambda\) has no spot/,
    ],
    [
      "reserved at CoreWeave",
      "coreweave",
      "{}",
      "instance_type: gd-8xh100ib-i128, market: reserved, reservation: r",
      /^pools\[0\]\.market: warning: .*CoreWeave\) has no reserved/,
    ],
    [
      "a type of another cloud",
      "gcp",
      "{ project: team-gpu, image: family/gpu }",
      "instance_type: p5.48xlarge, zones: [us-central1-a]",
      /^pools\[0\]\.instance_type: warning: "p5.48xlarge" is not the name of a type of Compute Engine/,
    ],
    [
      "a type of Google at EC2",
      "aws",
      AWS,
      A3,
      /^pools\[0\]\.instance_type: warning: "a3-highgpu-8g" is not the name of a type of EC2/,
    ],
    [
      "a security group by name",
      "aws",
      "{ region: us-east-1, image: ami-1, security_groups: [gpu-nodes] }",
      P5,
      /^providers\.aws\.security_groups: warning: "gpu-nodes" is not an id/,
    ],
    [
      "a subnet by name",
      "aws",
      "{ region: us-east-1, image: ami-1, subnet: private }",
      P5,
      /^providers\.aws\.subnet: warning: "private" is not an id/,
    ],
    [
      "an image by name",
      "aws",
      "{ region: us-east-1, image: ubuntu-24 }",
      P5,
      /^providers\.aws\.image: warning: "ubuntu-24" is not an id/,
    ],
    [
      "a subnet of another region",
      "aws",
      "{ region: us-east-1, image: ami-1, subnets: [us-west-2a=subnet-1] }",
      `${P5}, zones: [us-west-2a]`,
      /^providers\.aws\.subnets: warning: zone us-west-2a is not in us-east-1/,
    ],
    [
      "a provider in a zone",
      "aws",
      "{ region: us-east-1a, image: ami-1 }",
      P5,
      /^providers\.aws\.region: warning: "us-east-1a" is not a region/,
    ],
    [
      "EFA without a subnet",
      "aws",
      "{ region: us-east-1, image: ami-1, efa_interfaces: 32 }",
      P5,
      /^providers\.aws\.efa_interfaces: warning: efa_interfaces needs a subnet/,
    ],
  ])("%s", (_what, provider, settings, pool, expected) => {
    const found = problems(provider, settings, pool);
    expect(found).toContainEqual(expect.stringMatching(expected));
  });
});

describe("a ceiling in dollars and a price that nothing tells", () => {
  const noPrice = "{ region: us-east-1, image: ami-1 }";
  test("at the fleet, the pool and the provider", () => {
    const fleet = problems("aws", noPrice, P5, "safety: { spend: { max_per_hour: 100 } }");
    expect(fleet.join()).toMatch(
      /tells no price of p5.48xlarge \(on-demand\), and with safety.spend nothing/,
    );
    const pool = problems("aws", noPrice, `${P5}, spend: { max_per_month: 100 }`);
    expect(pool.join()).toContain("with spend of the pool nothing is bought");
    const own = problems(
      "aws",
      "{ region: us-east-1, image: ami-1, spend: { max_per_hour: 9 } }",
      P5,
    );
    expect(own.join()).toContain("with spend of provider aws nothing is bought");
  });

  test("a price, spot at EC2, or a ceiling of instances alone is enough", () => {
    const spend = "safety: { spend: { max_per_hour: 100 } }";
    expect(problems("aws", AWS, P5, spend)).toEqual([]);
    expect(problems("aws", noPrice, `${P5}, market: spot`, spend)).toEqual([]);
    expect(problems("aws", noPrice, P5, "safety: { spend: { max_instances: 3 } }")).toEqual([]);
  });
});

test("an entry of providers has its own place", () => {
  const text = [
    ...LINES,
    `providers: { aws: ${AWS}, lambda: {} }`,
    "pools:",
    "  - name: p",
    "    instance_type: 8xH100",
    "    scaling: { min_nodes: 1, max_nodes: 2 }",
    "    providers:",
    "      - { name: aws, instance_type: p5.48xlarge, zones: [us-east-1] }",
    "      - { name: lambda, instance_type: gpu_8x_h100_sxm5, regions: [us-east-1], market: spot }",
  ].join("\n");
  const { config, problems: found } = readConfig([{ name: "c", text }]);
  expect(config).not.toBeNull();
  expect(found.map(({ line, path }) => `${line} ${path}`)).toEqual([
    "8 pools[0].providers[0].zones",
    "9 pools[0].providers[1].market",
  ]);
});

describe("two providers of one account", () => {
  const two = (a: string, b: string): string[] => {
    const pools = ["a", "b"].map(
      (name) =>
        `{ name: ${name}, provider: ${name}, instance_type: h100-8x, min_nodes: 1, max_nodes: 1 }`,
    );
    const text = `providers: { a: ${a}, b: ${b} }\npools: [${pools.join(", ")}]`;
    const { problems: found } = readConfig([{ name: "c", text }]);
    return found.filter(({ code }) => code === "shared_account").map(formatProblem);
  };
  test.each([
    [
      "aws",
      "{ type: aws, region: us-east-1, image: ami-1 }",
      "{ type: aws, region: us-east-1, image: ami-2 }",
      "region us-east-1",
    ],
    [
      "aws, both by default",
      "{ type: aws, image: ami-1 }",
      "{ type: aws, image: ami-2 }",
      "region of the environment",
    ],
    [
      "aws, one profile",
      "{ type: aws, region: us-east-1, profile: x }",
      "{ type: aws, region: us-east-1, profile: x }",
      "region us-east-1, profile x",
    ],
    [
      "gcp, one project",
      "{ type: gcp, project: team-gpu, credentials_file: /a }",
      "{ type: gcp, project: team-gpu }",
      "project team-gpu",
    ],
    [
      "lambda, by default",
      "{ type: lambda }",
      "{ type: lambda, api_key_env: LAMBDA_API_KEY }",
      "key in LAMBDA_API_KEY",
    ],
    [
      "command",
      "{ type: command, command: /bin/buy a }",
      "{ type: command, command: /bin/buy a, settle: 1m }",
      "program /bin/buy a",
    ],
    [
      "coreweave",
      "{ type: coreweave, kubeconfig: /k }",
      "{ type: coreweave, kubeconfig: /k }",
      "cluster of /k",
    ],
  ])("are a warning: %s", (_what, a, b, where) => {
    expect(two(a, b)).toEqual([
      expect.stringContaining(
        `providers.b: warning: providers a and b buy with one ${where}: each lists`,
      ),
    ]);
    expect(two(a, b)[0]).toEndWith(
      "(keep one of them, and write what differs (image, disk_gb, prices, …) in the pools)",
    );
  });

  test.each([
    ["regions", "{ type: aws, region: us-east-1 }", "{ type: aws, region: us-east-2 }"],
    [
      "profiles",
      "{ type: aws, region: us-east-1, profile: x }",
      "{ type: aws, region: us-east-1, profile: y }",
    ],
    ["projects", "{ type: gcp, project: team-gpu }", "{ type: gcp, project: team-cpu }"],
    ["keys", "{ type: lambda }", "{ type: lambda, api_key_env: OTHER }"],
    ["endpoints", "{ type: lambda }", "{ type: lambda, endpoint: 'http://127.0.0.1:1' }"],
    ["kinds", "{ type: aws }", "{ type: gcp, project: team-gpu }"],
    [
      "arguments",
      "{ type: command, command: /bin/buy a }",
      "{ type: command, command: /bin/buy b }",
    ],
    ["simulated clouds", "{ type: fake }", "{ type: fake }"],
  ])("are none with other %s", (_what, a, b) => {
    expect(two(a, b)).toEqual([]);
  });

  test("are told once for three, also where one is only named", () => {
    const text = `providers: { a: { type: lambda }, b: { type: lambda } }
pools: [{ name: p, provider: lambda, instance_type: h100-8x, region: us-east-1, min_nodes: 1, max_nodes: 1 }]`;
    const { problems: found } = readConfig([{ name: "c", text }]);
    const [one, ...more] = found.filter(({ code }) => code === "shared_account");
    expect(one?.message).toStartWith(
      "providers a, b and lambda buy with one key in LAMBDA_API_KEY:",
    );
    expect(more).toEqual([]);
  });
});
