/**
 * Field definitions shared by the schemas.
 */

export const DRAFT = "https://json-schema.org/draft/2020-12/schema";

export const text = (description: string) => ({ type: "string", description });
export const count = (description: string) => ({ type: "integer", minimum: 0, description });
export const base64 = (description: string) => ({
  type: "string",
  contentEncoding: "base64",
  description: `${description} In base64, because it is not valid UTF-8.`,
});

export const time = (description: string) => ({
  type: "string",
  format: "date-time",
  description,
});

export const omitted = (description: string) => ({
  type: "object",
  description: `${description} Its size and hash.`,
  required: ["size", "sha256"],
  properties: { size: count("Bytes."), sha256: sha256("Of the bytes.") },
});

export const sha256 = (description: string) => ({
  type: "string",
  pattern: "^[0-9a-f]{64}$",
  description: `${description} SHA-256 in hexadecimal.`,
});
