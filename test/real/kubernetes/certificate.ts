/**
 * A certificate authority of its own for one throw-away cluster, and what it signs: X.509 version 3
 * with ECDSA keys on P-256, written as DER by hand (RFC 5280, RFC 5480), because that takes a
 * millisecond a piece and needs no other program.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";

/** PEM, both. */
export type KeyPair = { certificate: string; key: string };

export type Subject = {
  /** Kubernetes reads the common name as the user and each organization as a group. */
  name: string;
  groups?: readonly string[];
  /** For a server: DNS names and IPv4 addresses. Absent for a client. */
  hosts?: readonly string[];
};

export type Authority = { certificate: string; issue(subject: Subject): KeyPair };

/** Long enough for any test, short enough that a forgotten key is worthless soon. */
const LIFE_MS = 7 * 24 * 3_600_000;

/** Clocks of two processes on one machine agree; this only makes the instant of issue valid. */
const BACKDATE_MS = 3_600_000;

const OID = {
  commonName: [0x55, 0x04, 0x03],
  organization: [0x55, 0x04, 0x0a],
  basicConstraints: [0x55, 0x1d, 0x13],
  keyUsage: [0x55, 0x1d, 0x0f],
  extendedKeyUsage: [0x55, 0x1d, 0x25],
  subjectAltName: [0x55, 0x1d, 0x11],
  serverAuth: [0x2b, 6, 1, 5, 5, 7, 3, 1],
  clientAuth: [0x2b, 6, 1, 5, 5, 7, 3, 2],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
} as const;

/** A new authority; `nowMs` is the wall clock. */
export function openAuthority(name: string, nowMs: number): Authority {
  const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = distinguished({ name });
  const certify = (subject: Subject, publicKey: KeyObject, isAuthority: boolean): string => {
    const tbs = sequence(
      tagged(0xa0, integer(Buffer.from([2]))),
      integer(serial()),
      sequence(oid(OID.ecdsaWithSha256)),
      issuer,
      sequence(instant(nowMs - BACKDATE_MS), instant(nowMs + LIFE_MS)),
      distinguished(subject),
      publicKey.export({ type: "spki", format: "der" }),
      tagged(0xa3, sequence(...extensions(subject, isAuthority))),
    );
    const signature = sign("sha256", tbs, own.privateKey);
    const der = sequence(tbs, sequence(oid(OID.ecdsaWithSha256)), bits(signature));
    const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
    return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
  };
  return {
    certificate: certify({ name }, own.publicKey, true),
    issue(subject) {
      const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return { certificate: certify(subject, pair.publicKey, false), key: pem(pair.privateKey) };
    },
  };
}

/** A pair of keys for signing service account tokens, PEM. */
export function openTokenKey(): { publicKey: string; privateKey: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "pem" });
  return { publicKey: spki.toString(), privateKey: pem(privateKey) };
}

/** SEC 1 rather than PKCS 8: the form that both Kubernetes' own tools and Bun read. */
function pem(key: KeyObject): string {
  return key.export({ type: "sec1", format: "pem" }).toString();
}

function extensions(subject: Subject, isAuthority: boolean): Buffer[] {
  const boolean = (yes: boolean): Buffer[] => (yes ? [tagged(0x01, Buffer.from([0xff]))] : []);
  const extension = (id: readonly number[], critical: boolean, value: Buffer): Buffer =>
    sequence(oid(id), ...boolean(critical), tagged(0x04, value));
  // Bits of KeyUsage from the left: digitalSignature is 0, keyCertSign 5, cRLSign 6.
  const usage = isAuthority ? [0x01, 0x06] : [0x07, 0x80];
  const found = [
    extension(OID.basicConstraints, true, sequence(...boolean(isAuthority))),
    extension(OID.keyUsage, true, tagged(0x03, Buffer.from(usage))),
  ];
  if (isAuthority) return found;
  const purpose = subject.hosts === undefined ? OID.clientAuth : OID.serverAuth;
  found.push(extension(OID.extendedKeyUsage, false, sequence(oid(purpose))));
  if (subject.hosts !== undefined) {
    const names = sequence(...subject.hosts.map(alternative));
    found.push(extension(OID.subjectAltName, false, names));
  }
  return found;
}

function alternative(host: string): Buffer {
  const numbers = host.split(".").map(Number);
  const isAddress = numbers.length === 4 && numbers.every((n) => n >= 0 && n <= 255);
  return isAddress ? tagged(0x87, Buffer.from(numbers)) : tagged(0x82, Buffer.from(host));
}

function distinguished({ name, groups = [] }: Subject): Buffer {
  const part = (id: readonly number[], value: string): Buffer =>
    tagged(0x31, sequence(oid(id), tagged(0x0c, Buffer.from(value))));
  const organizations = groups.map((group) => part(OID.organization, group));
  return sequence(...organizations, part(OID.commonName, name));
}

/** The top bit is clear, which makes it positive, and the next is set, so that it is not short. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

/** Two digits of the year, as RFC 5280 asks until 2049. */
function instant(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replace(/\.\d+Z$|[-:T]/g, "");
  return tagged(0x17, Buffer.from(`${digits.slice(2)}Z`));
}

function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, ...parts);
const integer = (value: Buffer): Buffer => tagged(0x02, value);
const bits = (value: Buffer): Buffer => tagged(0x03, Buffer.from([0]), value);

/** The numbers are the encoded octets already. */
const oid = (octets: readonly number[]): Buffer => tagged(0x06, Buffer.from(octets));
