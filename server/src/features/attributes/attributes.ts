/** The door of the feature: what is known of the attributes that users have. */
export { type Attributes, type AttributesContext, attributesContext, attributesOf } from './sample.ts';
export { warningsAbout } from './warnings.ts';
