/** Of this service and of its API document. */
export const version = '0.1.0';
