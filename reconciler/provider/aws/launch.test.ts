/** Purchases that moto does not try: several EFA interfaces, an instance profile, tags. */
import { expect, test } from "bun:test";
import { contractRequest } from "../../../test/port/provider.contract.ts";
import { formOf } from "./api.ts";
import { launchOf, launchParams, type LaunchSettings } from "./launch.ts";
import { readAwsSettings } from "./setting.ts";

const SETTINGS: LaunchSettings = {
  image: "ami-1",
  subnets: [],
  securityGroups: ["sg-1", "sg-2"],
  instanceProfile: null,
  diskGb: null,
  externalIp: null,
  efaInterfaces: 0,
  userData: null,
};
const FACTS = { rootDevice: null, isCapacityBlock: false };
const subnets = [{ zone: null, id: "subnet-1" }];

function launched(settings: Partial<LaunchSettings>, change = {}) {
  const params = launchParams(contractRequest("n", change), { ...SETTINGS, ...settings }, FACTS);
  return typeof params === "string"
    ? params
    : Object.fromEntries(new URLSearchParams(formOf(params)));
}

test("launchParams() gives each EFA interface its card, subnet and groups", () => {
  const form = launched({ efaInterfaces: 2, subnets });
  expect(form).toMatchObject({
    "NetworkInterface.1.InterfaceType": "efa",
    "NetworkInterface.1.DeviceIndex": "0",
    "NetworkInterface.2.NetworkCardIndex": "1",
    "NetworkInterface.2.DeviceIndex": "1",
    "NetworkInterface.2.SubnetId": "subnet-1",
    "NetworkInterface.2.SecurityGroupId.2": "sg-2",
  });
  expect(form).not.toHaveProperty("SubnetId");
  expect(form).not.toHaveProperty(["SecurityGroupId.1"]);
});

test("launchParams() names groups, key pair and profile", () => {
  const form = launched(
    { instanceProfile: "arn:aws:iam::1:instance-profile/p" },
    { sshKeys: ["k"] },
  );
  expect(form).toMatchObject({
    KeyName: "k",
    "IamInstanceProfile.Arn": "arn:aws:iam::1:instance-profile/p",
    "SecurityGroupId.1": "sg-1",
  });
  expect(launched({ instanceProfile: "p" })).toMatchObject({ "IamInstanceProfile.Name": "p" });
});

test("launchParams() keeps ownership tags where a pool has more labels than EC2 takes", () => {
  const labels = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`a${i}`, "x"]));
  const { tags } = contractRequest("n");
  const form = launched({}, { tags: { ...labels, ...tags, Name: "mine", "": "x" } });
  const pairs = Object.entries(form).filter(([key]) => /^TagSpecification\.1\..*Key$/.test(key));
  const keys = pairs.map(([, key]) => key);
  expect(keys).toHaveLength(50);
  expect(keys.slice(0, 4)).toEqual(["Name", ...Object.keys(tags)]);
});

test.each([
  [{ efaInterfaces: 1 }, {}, "need subnet"],
  [{ externalIp: true }, {}, "need subnet"],
  [{ efaInterfaces: 2, externalIp: true, subnets }, {}, "not possible"],
  [{ subnets: [{ zone: "a", id: "subnet-1" }] }, {}, "names no zone"],
  [{ subnets: [{ zone: "a", id: "subnet-1" }] }, { zone: "b" }, "no subnet for zone b"],
  [{}, { sshKeys: ["a", "b"] }, "one ssh_keys entry"],
  [{}, { market: "reserved" }, "needs reservation"],
])("launchParams() says what does not fit", (settings, change, message) => {
  expect(launched(settings, change)).toContain(message);
});

test("launchOf() puts what a pool sets over the provider's settings", () => {
  const given = {
    region: "us-east-1",
    image: "ami-1",
    diskGb: 9,
    efaInterfaces: 2,
    subnets: "a=subnet-1",
  };
  const aws = readAwsSettings(given, { HOME: "/nonexistent" });
  if (typeof aws === "string") throw new Error(aws);
  expect(launchOf({}, aws)).toBe(aws.launch);
  expect(launchOf({ settings: { prices: "p5.48xlarge=9" } }, aws)).toBe(aws.launch);
  expect(
    launchOf({ settings: { image: "ami-2", efaInterfaces: 32, subnet: "subnet-2" } }, aws),
  ).toEqual({
    ...aws.launch,
    image: "ami-2",
    efaInterfaces: 32,
    subnets: [{ zone: null, id: "subnet-2" }],
  });
  expect(launchOf({ settings: { image: "ubuntu" } }, aws)).toContain("ami-");
  expect(launchOf({ settings: { userDataFile: "/nonexistent/u" } }, aws)).toContain(
    "/nonexistent/u",
  );
  const bare = readAwsSettings({ region: "us-east-1" }, { HOME: "/nonexistent" });
  if (typeof bare === "string") throw new Error(bare);
  expect(launchOf({}, bare)).toMatchObject({ image: null });
  expect(launched({ image: null })).toContain("image: set it");
});

test("launchParams() is the same each time", () => {
  expect(launched({ diskGb: 10 })).toEqual(launched({ diskGb: 10 }));
});
