/**
 * Just enough of DER (ITU-T X.690) to write a certificate: tagged values with their lengths, and
 * the handful of types that X.509 needs. Pure.
 */

/** Context-specific and universal tags alike; lengths to 65,535 bytes. */
export function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), value]);
}

export const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, ...parts);
export const octets = (value: Buffer): Buffer => tagged(0x04, value);
export const bits = (value: Buffer): Buffer => tagged(0x03, Buffer.from([0]), value);

/** `value` is big-endian and must have its top bit clear, which makes it positive. */
export const integer = (value: Buffer): Buffer => tagged(0x02, value);

/** The numbers are the encoded octets already. */
export const oid = (encoded: readonly number[]): Buffer => tagged(0x06, Buffer.from(encoded));

/** Two digits of the year until 2049 and four from then on (RFC 5280 §4.1.2.5). */
export function instant(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replace(/\.\d+Z$|[-:T]/g, "");
  if (digits < "2050") return tagged(0x17, Buffer.from(`${digits.slice(2)}Z`));
  return tagged(0x18, Buffer.from(`${digits}Z`));
}
