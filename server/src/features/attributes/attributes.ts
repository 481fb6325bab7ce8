/** The public interface of the feature: the attributes that users have. */
export { indexAttribute, listAttributeIndexes, unindexAttribute } from './attribute-index.ts';
export { type Attributes, type AttributesContext, attributesContext, attributesOf } from './sample.ts';
export { warningsAbout } from './warnings.ts';
