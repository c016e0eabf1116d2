<%@ page session="false" %>ADMIN
