/**
 * Writes certificates of our own authority: X.509 version 3 with ECDSA keys on P-256 (RFC 5280, RFC
 * 5480), in DER (ITU-T X.690). Done by hand, because a library would add fifteen packages for a
 * stable format. Tests read the certificates with other parsers.
 *
 * Adapter: randomness.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
  type KeyObject,
} from "node:crypto";
import { isIP } from "node:net";
import { wordsOf } from "../../core/address.ts";

/** Both are PEM. */
export type KeyPair = { certificate: string; key: string };

export type CertificateRequest = {
  /** Common name; servers are not verified by it (RFC 6125). */
  name: string;
  /** Organizations of a client, which Kubernetes reads as groups. */
  groups?: readonly string[];
  /** For a server: DNS names and IP addresses. Absent for a client. */
  hosts?: readonly string[];
  fromMs: number;
  untilMs: number;
};

const OID = {
  commonName: [0x55, 0x04, 0x03],
  organization: [0x55, 0x04, 0x0a],
  subjectKeyIdentifier: [0x55, 0x1d, 0x0e],
  keyUsage: [0x55, 0x1d, 0x0f],
  subjectAltName: [0x55, 0x1d, 0x11],
  basicConstraints: [0x55, 0x1d, 0x13],
  authorityKeyIdentifier: [0x55, 0x1d, 0x23],
  extendedKeyUsage: [0x55, 0x1d, 0x25],
  serverAuth: [0x2b, 6, 1, 5, 5, 7, 3, 1],
  clientAuth: [0x2b, 6, 1, 5, 5, 7, 3, 2],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
} as const;

/** A new self-signed authority. It may sign server and client certificates only. */
export function makeAuthority(request: Omit<CertificateRequest, "hosts">): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signer = { name: request.name, privateKey, publicKey };
  const certificate = certify({ ...request, publicKey }, signer);
  return { certificate, key: formatKey(privateKey) };
}

/** A key and a certificate for it, signed by `authority`. */
export function issue(authority: KeyPair, request: CertificateRequest): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signer = createPrivateKey(authority.key);
  const certificate = certify(
    { ...request, publicKey },
    { name: nameOf(authority.certificate), privateKey: signer, publicKey: createPublicKey(signer) },
  );
  return { certificate, key: formatKey(privateKey) };
}

/** `sha256:<hex>` of the certificate's DER, for pinning. */
export function fingerprintOf(pem: string): string {
  const { raw } = new X509Certificate(pem);
  return `sha256:${createHash("sha256").update(raw).digest("hex")}`;
}

function nameOf(pem: string): string {
  return /^CN=(.*)$/m.exec(new X509Certificate(pem).subject)?.[1] ?? "";
}

type Signer = { name: string; privateKey: KeyObject; publicKey: KeyObject };

function certify(request: CertificateRequest & { publicKey: KeyObject }, signer: Signer): string {
  const self = request.publicKey === signer.publicKey;
  const algorithm = sequence(oid(OID.ecdsaWithSha256));
  const tbs = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(serial()),
    algorithm,
    distinguished(signer),
    sequence(instant(request.fromMs), instant(request.untilMs)),
    distinguished(request),
    spki(request.publicKey),
    tagged(0xa3, sequence(...extensions(request, self, signer.publicKey))),
  );
  const der = sequence(tbs, algorithm, bits(sign("sha256", tbs, signer.privateKey)));
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function extensions(
  request: CertificateRequest & { publicKey: KeyObject },
  isAuthority: boolean,
  signer: KeyObject,
): Buffer[] {
  const yes = tagged(0x01, Buffer.from([0xff]));
  const extension = (id: readonly number[], critical: boolean, value: Buffer): Buffer =>
    sequence(oid(id), ...(critical ? [yes] : []), octets(value));
  // Path length 0: a certificate that it signs cannot sign others.
  const constraint = isAuthority ? sequence(yes, integer(Buffer.from([0]))) : sequence();
  // Bits of KeyUsage from the left: digitalSignature is 0, keyCertSign 5, cRLSign 6.
  const usage = tagged(0x03, Buffer.from(isAuthority ? [0x01, 0x06] : [0x07, 0x80]));
  const found = [
    extension(OID.basicConstraints, true, constraint),
    extension(OID.keyUsage, true, usage),
    extension(OID.subjectKeyIdentifier, false, octets(keyId(request.publicKey))),
    extension(OID.authorityKeyIdentifier, false, sequence(tagged(0x80, keyId(signer)))),
  ];
  if (isAuthority) return found;
  const purpose = request.hosts === undefined ? OID.clientAuth : OID.serverAuth;
  found.push(extension(OID.extendedKeyUsage, false, sequence(oid(purpose))));
  if (request.hosts !== undefined) {
    const names = sequence(...request.hosts.map(alternative));
    found.push(extension(OID.subjectAltName, false, names));
  }
  return found;
}

/** RFC 5280 §4.2.1.2 (1). */
function keyId(key: KeyObject): Buffer {
  const point = key.export({ format: "jwk" });
  const raw = Buffer.concat([
    Buffer.from([4]),
    Buffer.from(point.x ?? "", "base64url"),
    Buffer.from(point.y ?? "", "base64url"),
  ]);
  return createHash("sha1").update(raw).digest();
}

function spki(key: KeyObject): Buffer {
  return Buffer.from(key.export({ type: "spki", format: "der" }));
}

/** SEC 1 and not PKCS 8: OpenSSL, Go and Bun all read it. */
function formatKey(key: KeyObject): string {
  return key.export({ type: "sec1", format: "pem" }).toString();
}

/** `[2]` a DNS name, `[7]` the octets of an address. */
function alternative(host: string): Buffer {
  const version = isIP(host);
  if (version === 0) return tagged(0x82, Buffer.from(host));
  const octets6 = (wordsOf(host) ?? []).flatMap((word) => [word >> 8, word & 255]);
  return tagged(0x87, Buffer.from(version === 4 ? host.split(".").map(Number) : octets6));
}

function distinguished({ name, groups = [] }: Pick<CertificateRequest, "name" | "groups">): Buffer {
  const part = (id: readonly number[], value: string): Buffer =>
    tagged(0x31, sequence(oid(id), tagged(0x0c, Buffer.from(value))));
  const organizations = groups.map((group) => part(OID.organization, group));
  return sequence(...organizations, part(OID.commonName, name));
}

/** The top bit is clear, so the number is positive; the next is set, so its length is fixed. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

/** One DER value. Lengths up to 65,535 bytes. */
function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, ...parts);
const octets = (value: Buffer): Buffer => tagged(0x04, value);
const bits = (value: Buffer): Buffer => tagged(0x03, Buffer.from([0]), value);

/** `value` is big-endian, with a clear top bit, which makes it positive. */
const integer = (value: Buffer): Buffer => tagged(0x02, value);

/** The numbers are the encoded octets. */
const oid = (encoded: readonly number[]): Buffer => tagged(0x06, Buffer.from(encoded));

/** Two digits of the year until 2049, four from then on (RFC 5280 §4.1.2.5). */
function instant(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replace(/\.\d+Z$|[-:T]/g, "");
  if (digits < "2050") return tagged(0x17, Buffer.from(`${digits.slice(2)}Z`));
  return tagged(0x18, Buffer.from(`${digits}Z`));
}
